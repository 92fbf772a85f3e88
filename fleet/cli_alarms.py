"""``todoke alarms``: the table of what each alarm means, and the alarms of a service that runs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fleet import alarm_store
from fleet.alarm_table import ANSWERS, TABLE, Definition, Words
from fleet.cli_records import Home, with_service
from fleet.db.database import Connection
from fleet.runtime import Runtime

alarms_app = typer.Typer(help="Alarms.", no_args_is_help=True)
_out = Console(highlight=False)


class Language(StrEnum):
    """What the table is shown in."""

    JA = "ja"
    EN = "en"
    BOTH = "both"


_URGENCIES = {"urgent": Words("緊急", "urgent"), "high": Words("重要", "high"), "medium": Words("注意", "medium")}
_CAUSE, _MEANING = Words("原因", "Cause"), Words("意味", "Meaning")
_ANSWERS, _TIMES = Words("対応", "Answers"), Words("検出・保留", "Raised")


@alarms_app.command("table")
def table(
    language: Annotated[Language, typer.Option("--language", "-l", help="Language of the words.")] = Language.BOTH,
) -> None:
    """Show what each alarm means, why it comes, what answers it, and how soon it is raised."""
    for shown in ("ja", "en") if language is Language.BOTH else (language.value,):
        lines = Table(show_header=False, show_lines=True)
        lines.add_column(overflow="fold", min_width=16, ratio=1)
        lines.add_column(overflow="fold", ratio=4)
        for row in TABLE.values():
            urgencies = [row.urgency] if row.worse is None else [row.urgency, row.worse]
            urgency = " → ".join(getattr(_URGENCIES[each], shown) for each in urgencies)
            lines.add_row(f"[bold]{getattr(row.title, shown)}[/bold]\n{row.code}\n{urgency}", _said(row, shown))
        _out.print(lines)


def _said(row: Definition, language: str) -> str:
    answers = " / ".join(getattr(ANSWERS[answer], language) for answer in row.answers)
    parts = [(_CAUSE, row.cause), (_MEANING, row.meaning), (_ANSWERS, Words(answers, answers)), (_TIMES, _times(row))]
    return "\n".join(f"[dim]{getattr(name, language)}[/dim] {getattr(words, language)}" for name, words in parts)


def _times(row: Definition) -> Words:
    note, most = row.detection_note, row.shelve_max_min(row.urgency)
    since = note or Words("最初に示したサンプルから", "from the first sample that shows it")
    ja = f"{row.detection_s:.0f} 秒以内（{since.ja}）、保留は" + (f" {most} 分まで" if most else "不可")
    en = f"within {row.detection_s:.0f} s ({since.en}); shelved for " + (f"{most} min at most" if most else "no time")
    return Words(ja, en)


@alarms_app.command("list")
def listing(home: Home = None) -> None:
    """Show the alarms that are open, the newest first."""

    async def work(conn: Connection, runtime: Runtime) -> list[dict[str, Any]]:
        return await alarm_store.listing(conn, open_since=runtime.clock.now())

    for row in with_service(home, work):
        said = f"{row['raised_at']:%Y-%m-%d %H:%M:%S}  {row['source_id']:<12} {row['urgency']:<7} {row['state']:<15}"
        _out.print(f"{said} {row['text_ja']} / {row['text_en']}", markup=False)
