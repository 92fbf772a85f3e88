"""What recipients read, in both languages, and which of them they read."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.log_forms import Lang, Words

STATES: Mapping[str, Words] = {
    "received": Words("配送を準備しています。", "Your delivery is being planned."),
    "planned": Words("配送の予定が決まりました。", "Your delivery is planned."),
    "loaded": Words("荷物を積みました。まもなく出発します。", "Your parcel is loaded and leaves soon."),
    "underway": Words("荷物が向かっています。", "Your parcel is on its way."),
    "arrived": Words("荷物が届け先に着いています。", "Your parcel is at the drop-off."),
    "returning": Words(
        "お届けできずに戻っています。改めてお届けします。",
        "It could not be delivered and is on its way back. It will come again.",
    ),
    "unconfirmed": Words(
        "お届けを確認できていません。受け取られたかどうかお知らせください。",
        "We could not see the delivery. Please tell us whether you have it.",
    ),
    "delivered": Words("お届けしました。", "Your parcel has been delivered."),
    "failed": Words(
        "お届けできませんでした。お店にお問い合わせください。", "It could not be delivered. Please ask the shop."
    ),
    "cancelled": Words("配送は取り消されました。", "The delivery was cancelled."),
}
"""By the order's state, or by where its vehicle is."""

ASKS: Mapping[str, Words] = {
    "clear": Words(
        "届け先の真下と周り5mに人や物がないか見て、お知らせください。",
        "Please look whether nobody and nothing is within 5 m of the drop-off, and say so.",
    ),
    "code": Words("解錠番号を表示できます。表示は一度だけです。", "You can have your code shown, once."),
    "unlock": Words("ロボットの前で解錠番号を入力してください。", "Stand in front of the robot and enter your code."),
    "received": Words("荷物を受け取ったかどうかお知らせください。", "Please say whether you have received it."),
}

REFUSALS: Mapping[str, Words] = {
    "not_on_its_way": Words("今こちらへ向かっているドローンはありません。", "No drone is on its way to you now."),
    "nothing_asked": Words("届け先の確認は必要ありません。", "Nothing is needed from you there."),
    "gone": Words("ドローンはもう先へ進みました。", "The drone has gone on."),
    "too_early": Words(
        "ドローンはまだ近くにいません。近づいたらもう一度確かめてください。",
        "The drone is not near yet. Please look and say so when it is.",
    ),
    "not_here": Words(
        "この荷物のロボットはまだ届け先に着いていません。",
        "The robot with this parcel does not stand at the drop-off yet.",
    ),
    "not_drawn": Words("解錠番号はまだ表示されていません。", "The code has not been shown yet."),
    "wrong": Words("解錠番号が違います。", "The code is wrong."),
    "locked": Words(
        "間違いが続いたため、しばらく受け付けません。お店にお電話ください。",
        "Too many wrong codes: none is taken for a while. Please telephone the shop.",
    ),
    "used": Words("この解錠番号は使用済みです。", "This code has been used already."),
    "no_code": Words(
        "解錠番号は表示済みか、この荷物には不要です。", "The code has been shown already, or none is needed."
    ),
    "nothing_yet": Words("まだお届けしていません。", "Nothing has been handed over yet."),
}


def language(accept: str | None, default: Lang) -> Lang:
    """Return the language that an Accept-Language header (RFC 9110, section 12.5.4) prefers of the two."""
    best: tuple[float, Lang] | None = None
    for part in (accept or "").split(",")[:20]:
        tag, _, weight = part.strip().partition(";")
        primary = tag.strip().lower().partition("-")[0]
        lang: Lang | None = "ja" if primary == "ja" else "en" if primary == "en" else None
        quality = _quality(weight)
        if lang is not None and quality > 0.0 and (best is None or quality > best[0]):
            best = (quality, lang)
    return best[1] if best else default


def _quality(weight: str) -> float:
    name, _, value = weight.strip().partition("=")
    if not name:
        return 1.0
    try:
        found = float(value)
    except ValueError:
        return 0.0
    return found if name.strip() == "q" and 0.0 <= found <= 1.0 else 0.0
