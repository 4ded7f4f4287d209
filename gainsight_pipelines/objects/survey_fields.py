"""Detects which field of a response object holds which part of a response, and says why (requirement S7).

Gainsight's documentation gives the labels of survey fields but not their API names, and tenants have their own objects,
so everything is detected in the tenant's schema. What can't be decided is an error that names the candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gainsight_pipelines.errors import SettingsError
from gainsight_pipelines.gainsight.metadata import Field, ObjectSchema
from gainsight_pipelines.objects.fields import (
    NUMBER_TYPES,
    SYSTEM_FIELDS,
    TIME_TYPES,
    configured_field,
    normal_name,
)
from gainsight_pipelines.text import name_key, visible

SurveyField = Literal[
    "responded_at", "score", "survey_type", "comment", "subject", "respondent_name", "respondent_email"
]
"""The parts of a survey response whose Gainsight fields can be overridden."""

USUAL_NAMES: Mapping[SurveyField, tuple[str, ...]] = {
    "responded_at": (
        "respondeddate", "respondedon", "respondedat", "responsedate", "responseon",
        "submitteddate", "submittedon", "submittedat", "answereddate", "answeredon", "completeddate", "completedon",
    ),
    "survey_type": ("surveytype", "responsetype", "surveykind"),
    "comment": ("comment", "comments", "feedback", "responsetext", "answertext", "verbatim"),
    "subject": ("surveyname", "surveytitle", "subject", "name"),
    "respondent_name": ("respondentname", "respondent", "participantname", "contactname"),
    "respondent_email": ("respondentemail", "participantemail", "contactemail", "email"),
}  # fmt: skip
"""The names by which detection finds a field, best first."""

NEEDED: Mapping[SurveyField, frozenset[str]] = {"responded_at": TIME_TYPES}
"""The types that a part requires, if not every type fits."""

SCORE_NAMES = frozenset({"score", "rating", "nps", "csat", "ces"})
SCORE_ENDINGS = ("score", "rating")

NPS, CSAT, CES, CUSTOM = "NPS", "CSAT", "CES", "CUSTOM"
SPELT_OUT: Mapping[str, str] = {"netpromoter": NPS, "customersatisfaction": CSAT, "customereffort": CES}


@dataclass(frozen=True, slots=True)
class Choice:
    """The field of a part of a response, the path to its value in a record, and the reason for the choice."""

    field: Field
    path: str
    reason: str

    def as_json(self) -> dict[str, str]:
        """For metadata and `sync_run.details`."""
        return {"field": self.path, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Score:
    """A field that may hold the score; `survey_type`: the kind of survey that its name says, if any."""

    choice: Choice
    survey_type: str | None


@dataclass(frozen=True, slots=True)
class SurveyFields:
    """The detected fields. `absent`: the parts without a field, each with the reason."""

    choices: Mapping[SurveyField, Choice]
    scores: tuple[Score, ...]
    absent: Mapping[SurveyField, str]

    @property
    def paths(self) -> tuple[str, ...]:
        """The fields to select."""
        return tuple(choice.path for choice in (*self.choices.values(), *(score.choice for score in self.scores)))

    def mapping(self) -> dict[str, str | list[str]]:
        """Our name → Gainsight's, without reasons."""
        found: dict[str, str | list[str]] = {name: choice.path for name, choice in self.choices.items()}
        return found | {"score": [score.choice.path for score in self.scores]}

    def as_json(self) -> dict[str, Any]:
        """The mapping with reasons, for display."""
        shown: dict[str, Any] = {name: choice.as_json() for name, choice in self.choices.items()}
        if self.scores:
            shown["score"] = [
                score.choice.as_json() | ({"survey_type": score.survey_type} if score.survey_type else {})
                for score in self.scores
            ]
        return shown | {name: {"field": None, "reason": reason} for name, reason in self.absent.items()}


def detect(
    schema: ObjectSchema, overrides: Mapping[SurveyField, str | None], pinned_type: str | None, place: str
) -> SurveyFields:
    """Detects the field of each part of a response.

    Args:
        schema: the response object, as the tenant describes it.
        overrides: fields from the settings; None: there is no such field.
        pinned_type: the type that the settings pin; no field is then detected for it.
        place: the row's place in the settings, for errors: ``surveys.objects[0]``.

    Raises:
        SettingsError: an override that doesn't exist or fit, or a required part that can't be determined.
    """
    choices: dict[SurveyField, Choice] = {}
    absent: dict[SurveyField, str] = {}
    for name in USUAL_NAMES:
        if name == "survey_type" and pinned_type is not None:
            absent[name] = f"pinned to {pinned_type}"
        elif name in overrides:
            chosen = _overridden(schema, overrides[name], name, place)
            if chosen is None:
                absent[name] = "none, by the settings"
            else:
                choices[name] = chosen
        elif (usual := _usual(schema, name)) is not None:
            choices[name] = usual
        elif name == "responded_at":
            choices[name] = _only_time(schema, place)
        else:
            absent[name] = f"no field has a usual name ({', '.join(USUAL_NAMES[name])})"
    if "responded_at" not in choices:
        raise _unclear(schema, "responded_at", _of_type(schema, TIME_TYPES), place)
    scores = _scores(schema, overrides, pinned_type, place)
    if not scores:
        absent["score"] = "none, by the settings" if "score" in overrides else "no field holds a number"
    return SurveyFields(choices, scores, absent)


def survey_kind(value: str | None) -> str | None:
    """A survey type in our words: NPS, CSAT or CES in any spelling; other types unchanged."""
    shown = visible(value or "")
    if not shown:
        return None
    words = "".join(character if character.isalnum() else " " for character in name_key(shown)).split()
    for kind in (NPS, CSAT, CES):
        if name_key(kind) in words:
            return kind
    joined = "".join(words)
    return next((kind for start, kind in SPELT_OUT.items() if start in joined), shown)


def _overridden(schema: ObjectSchema, configured: str | None, name: SurveyField, place: str) -> Choice | None:
    if configured is None:
        return None
    where = f"{place}.field_mappings.{name}"
    field = configured_field(schema, configured, where)
    needed = NEEDED.get(name)
    if needed is not None and field.data_type not in needed:
        candidates = _of_type(schema, needed)
        raise SettingsError(
            f"`{where}` names {field.name}, which holds {field.data_type}, not {' or '.join(sorted(needed))}.",
            f"Set it to one of: {_names(candidates) or '(none fits)'}.",
        )
    return Choice(field, _shown_path(field), "override")


def _usual(schema: ObjectSchema, name: SurveyField) -> Choice | None:
    """By its usual names. Lookups are not used unless configured: whether their names can be read is unknown."""
    by_name: dict[str, Field] = {}
    for field in _own_fields(schema):
        if not field.is_lookup and field.data_type in NEEDED.get(name, {field.data_type}):
            by_name.setdefault(normal_name(field.name), field)
    for usual in USUAL_NAMES[name]:
        if usual in by_name:
            found = by_name[usual]
            return Choice(found, found.name, f"usual name {found.name}")
    return None


def _only_time(schema: ObjectSchema, place: str) -> Choice:
    for kind, words in (("DATETIME", "the only DATETIME field"), ("DATE", "the only DATE field")):
        found = _of_type(schema, frozenset({kind}))
        if len(found) == 1:
            return Choice(found[0], found[0].name, words)
        if found:
            break
    raise _unclear(schema, "responded_at", _of_type(schema, TIME_TYPES), place)


def _scores(
    schema: ObjectSchema, overrides: Mapping[SurveyField, str | None], pinned_type: str | None, place: str
) -> tuple[Score, ...]:
    """The fields that may hold the score: at most one per kind of survey, and one for any kind, last."""
    if "score" in overrides:
        chosen = _overridden(schema, overrides["score"], "score", place)
        return () if chosen is None else (Score(chosen, _kind_of_score(chosen.field)),)
    numbers = _of_type(schema, NUMBER_TYPES)
    named = [field for field in numbers if _is_named_score(field)]
    if not named:
        if len(numbers) > 1:
            raise _unclear(schema, "score", numbers, place)
        return tuple(Score(Choice(field, field.name, "the only number field"), None) for field in numbers)
    by_kind: dict[str | None, list[Field]] = {}
    for field in named:
        by_kind.setdefault(_kind_of_score(field), []).append(field)
    if pinned_type is not None and pinned_type in by_kind:
        # The other scores belong to surveys that this object doesn't hold.
        by_kind = {pinned_type: by_kind[pinned_type]}
    found = []
    for kind in sorted(by_kind, key=lambda kind: (kind is None, kind or "")):
        fields = by_kind[kind]
        if len(fields) > 1:
            raise _unclear(schema, "score", fields, place)
        found.append(Score(Choice(fields[0], fields[0].name, f"usual name {fields[0].name}"), kind))
    return tuple(found)


def _is_named_score(field: Field) -> bool:
    name = normal_name(field.name)
    return name in SCORE_NAMES or name.endswith(SCORE_ENDINGS)


def _kind_of_score(field: Field) -> str | None:
    name = normal_name(field.name)
    for kind in (NPS, CSAT, CES):
        if name.startswith(name_key(kind)):
            return kind
    return next((kind for start, kind in SPELT_OUT.items() if name.startswith(start)), None)


def _own_fields(schema: ObjectSchema) -> list[Field]:
    return [
        field for field in schema.fields.values() if not field.is_hidden and name_key(field.name) not in SYSTEM_FIELDS
    ]


def _of_type(schema: ObjectSchema, types: frozenset[str]) -> list[Field]:
    return [field for field in _own_fields(schema) if field.data_type in types]


def _shown_path(field: Field) -> str:
    """The path to the field's value; for a lookup, to the name that it shows."""
    return f"{field.lookup_path}.Name" if field.is_lookup and field.lookup_path else field.name


def _names(fields: list[Field]) -> str:
    return ", ".join(sorted(field.name for field in fields))


def _unclear(schema: ObjectSchema, name: SurveyField, candidates: list[Field], place: str) -> SettingsError:
    none = " (null: there is none)" if name == "score" else ""
    return SettingsError(
        f"The schema of Gainsight object `{schema.name}` does not show which field holds `{name}`.",
        f"Set `{place}.field_mappings.{name}` to one of: {_names(candidates) or '(none fits)'}{none}.",
    )
