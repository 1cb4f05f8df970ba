"""A kind of import rule that import-linter does not bring: a list of all that some modules may import.

Used in `pyproject.toml` as `type = "only"`. A module that belongs to the same service as a checked one may be imported too, and is then
checked itself, so that a pure module stays pure all the way down.
"""

import sys

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class OnlyContract(Contract):
    """The checked modules import the standard library, what `allowed` lists, and nothing else.

    Configuration options:
        - modules: expressions such as `services.*.domain`; at least one module must match each.
        - allowed: packages, internal or external, that they may import besides the standard library.
    """

    type_name = "only"

    modules = fields.ListField(subfield=fields.StringField())
    allowed = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 - import-linter's signature
        """Follow the imports of the checked modules."""
        expressions: list[str] = list(self.modules)  # type: ignore[call-overload]
        allowed: list[str] = list(self.allowed)  # type: ignore[call-overload]
        broken: list[str] = []
        todo: list[str] = []
        for expression in expressions:
            found = {name for name in graph.find_matching_modules(expression) if not graph.is_module_squashed(name)}
            if not found:
                broken.append(f"no module matches {expression}")
            todo += sorted(found | {below for name in found for below in graph.find_descendants(name)})
        seen = set(todo)
        while todo:
            importer = todo.pop(0)
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                if _within(imported, [*allowed, *sys.stdlib_module_names]) or imported in seen:
                    continue
                if _home(imported) == _home(importer):
                    seen.add(imported)
                    todo.append(imported)
                    continue
                lines = [str(d["line_number"]) for d in graph.get_import_details(importer=importer, imported=imported)]
                broken.append(f"{importer} imports {imported} (line {', '.join(lines)})")
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Name each import that is not allowed."""
        for line in check.metadata["broken"]:
            output.print_error(line)
        output.new_line()


def _within(module: str, packages: list[str]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def _home(module: str) -> str:
    """Return the service (or shared package) that a module belongs to."""
    return ".".join(module.split(".")[:2])
