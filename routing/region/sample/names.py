"""Names of fictional places, Japanese and English."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Name = tuple[str, str]

_TOWN_FIRST = (("霧", "Kiri"), ("雲", "Kumo"), ("朝", "Asa"), ("桧", "Hinoki"), ("鷹", "Taka"), ("銀", "Gin"))
_TOWN_LAST = (("ヶ谷", "gaya"), ("ヶ瀬", "gase"), ("見沢", "mizawa"), ("ノ原", "nohara"), ("ヶ渕", "gafuchi"))
_HAMLETS: tuple[Name, ...] = (
    ("上ノ沢", "Kaminosawa"),
    ("日向", "Hinata"),
    ("奥平", "Okudaira"),
    ("栗畑", "Kuribatake"),
    ("中里", "Nakazato"),
    ("滝ノ入", "Takinoiri"),
    ("小杉", "Kosugi"),
    ("鳥越", "Torigoe"),
    ("大久保", "Okubo"),
    ("白岩", "Shiraiwa"),
    ("岩下", "Iwashita"),
    ("柳沢", "Yanagisawa"),
    ("馬場", "Baba"),
    ("落合", "Ochiai"),
    ("萱野", "Kayano"),
    ("桑ノ木", "Kuwanoki"),
)
TOWN_STOPS: tuple[Name, ...] = (
    ("町役場", "Town hall"),
    ("町立図書館", "Library"),
    ("川端団地", "Kawabata apartments"),
    ("薬師堂前", "Yakushi hall"),
    ("老人福祉センター", "Senior centre"),
    ("消防署", "Fire station"),
    ("駐在所前", "Police box"),
)
HAMLET_STOPS: tuple[Name, ...] = (
    ("集会所", "meeting hall"),
    ("公民館", "community hall"),
    ("消防団詰所", "fire brigade shed"),
    ("バス停", "bus stop"),
    ("神社下", "shrine foot"),
    ("水車小屋", "water mill"),
)


@dataclass(frozen=True, slots=True)
class Names:
    """What the places of one municipality are called. ``hamlets``: west, east, then the side valleys."""

    town: Name
    hamlets: tuple[Name, ...]

    @property
    def town_id(self) -> str:
        """The town's name for ids."""
        return self.town[1].lower()

    @property
    def rivers(self) -> tuple[str, ...]:
        """The main river, then those of the side valleys."""
        return (f"{self.town[1]} River", *(f"{hamlet[1]} Stream" for hamlet in self.hamlets[2:]))


def make_names(rng: np.random.Generator) -> Names:
    """Return names of which no two are equal."""
    first, last = _TOWN_FIRST[rng.integers(len(_TOWN_FIRST))], _TOWN_LAST[rng.integers(len(_TOWN_LAST))]
    chosen = rng.permutation(len(_HAMLETS))[:8]
    return Names((first[0] + last[0], first[1] + last[1]), tuple(_HAMLETS[i] for i in chosen))
