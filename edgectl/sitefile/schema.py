"""JSON Schema of the site file, generated from its entries."""

from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from edgectl.sitefile.entries.site_file import SiteFile

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class _Untitled(GenerateJsonSchema):
    """Editors show the description; titles made up from names would only repeat the key."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401 - pydantic's own type
        del schema
        return False


def site_schema() -> dict[str, Any]:
    """JSON Schema of the site file, for editors and for other people's tools."""
    return {
        "$schema": _DIALECT,
        **SiteFile.model_json_schema(by_alias=True, mode="validation", schema_generator=_Untitled),
        "title": "edgectl site file",
    }
