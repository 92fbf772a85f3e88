"""What Japan's law calls an accident or a serious incident of an unmanned aircraft, and what it asks for at once.

Civil Aeronautics Act (航空法), article 132-90 (accidents: stop the flight, aid the injured and prevent danger, report)
and 132-91 (serious incidents); Ordinance (施行規則), articles 236-85 to 236-87;
無人航空機の事故及び重大インシデントの報告要領; mlit.go.jp/koku/accident_report.html. Whoever does not aid is
punished by article 157-6, who does not report by article 157-10 paragraph 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fleet.log_forms import Words


@dataclass(frozen=True, slots=True)
class IncidentClass:
    """One class: how grave, what it is, when it applies."""

    grade: str
    name: Words
    meaning: Words


GRADES: Mapping[str, Words] = {
    "accident": Words("事故", "Accident"),
    "serious_incident": Words("重大インシデント", "Serious incident"),
    "other": Words("その他", "Other"),
}

CLASSES: Mapping[str, IncidentClass] = {
    "death_or_serious_injury": IncidentClass(
        "accident",
        Words("人の死傷（重傷以上）", "Death or serious injury"),
        Words("操縦者や関係者も含む", "Of anybody, pilots and staff too"),
    ),
    "property_damage": IncidentClass(
        "accident",
        Words("第三者の所有する物件の損壊", "Damage to third-party property"),
        Words("損傷の規模や損害額を問わない", "However small"),
    ),
    "collision": IncidentClass(
        "accident",
        Words("航空機との衝突又は接触", "Collision or contact with an aircraft"),
        Words("いずれか又は両方に損傷があるもの", "With damage to either"),
    ),
    "near_collision": IncidentClass(
        "serious_incident",
        Words("航空機との衝突又は接触のおそれ", "Near collision with an aircraft"),
        Words("飛行中にそのおそれがあったと認めたとき", "When it seemed near in flight"),
    ),
    "minor_injury": IncidentClass(
        "serious_incident", Words("人の負傷（軽傷）", "Minor injury"), Words("重傷に至らないもの", "Less than serious")
    ),
    "loss_of_control": IncidentClass(
        "serious_incident",
        Words("制御が不能となった事態", "Loss of control"),
        Words("機体の不具合等によるもの", "Such as by a failure of the aircraft"),
    ),
    "fire_in_flight": IncidentClass(
        "serious_incident",
        Words("飛行中の発火", "Fire in flight"),
        Words("飛行中に発生したもの", "That broke out in flight"),
    ),
    "other": IncidentClass(
        "other",
        Words("上記以外（自主的な記録）", "None of these (the operator's own record)"),
        Words("報告義務の有無は運航者が判断する", "The operator judges whether to report"),
    ),
}

DUTIES: tuple[Words, ...] = (
    Words(
        "直ちに飛行を中止する（他の機体も必要なら停止・着陸させる）。",
        "Stop the flight at once; hold or land the others where needed.",
    ),
    Words(
        "負傷者を救護し、危険を防止する。負傷者・火災は119番、事故は110番へ通報する。回転中のプロペラや損傷したバッテリーに触れない。",
        "Aid the injured and prevent danger. Call 119 for injuries and fire, 110 for the police. Touch no turning "
        "propeller and no damaged battery.",
    ),
    Words(
        "日時、場所その他の事項を速やかに国土交通大臣へ報告する（DIPS 2.0 の事故等の報告）。",
        "Report date, time, place and the rest to the Minister (MLIT) without delay, by DIPS 2.0.",
    ),
)
"""In this order, before anything is written."""

SECTIONS: Mapping[str, Words] = {
    "place": Words("発生日時・場所", "When and where it happened"),
    "permit": Words("許可・承認の年月日及び番号", "Permit: date and number"),
    "outline": Words("概要", "What happened"),
    "persons": Words("人の死傷の状況", "Persons hurt"),
    "property": Words("物件・機体の損壊の状況", "Damage to property and vehicle"),
    "measures": Words("とった措置", "Measures taken"),
    "reported": Words("報告・通報先と日時", "Reported to whom and when"),
    "cause": Words("推定される原因", "Presumed cause"),
    "prevention": Words("再発防止策", "Prevention"),
    "notes": Words("その他参考となる事項", "Other matters"),
}
"""What a person writes; the rest of the report comes from what is stored."""

SOURCE = Words(
    "航空法第132条の90・第132条の91、航空法施行規則第236条の85〜第236条の87、無人航空機の事故及び重大インシデントの報告要領",
    "Civil Aeronautics Act, articles 132-90 and 132-91; its Ordinance, articles 236-85 to 236-87",
)
