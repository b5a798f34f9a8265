"""Where a page lies: alone, to be sent as one file, or published beside its pictures and the project's pages."""

from dataclasses import dataclass

from reproduce.render import html


@dataclass(frozen=True)
class Place:
    """What a page can refer to.

    Attributes:
        has_pictures_inside: whether it carries its pictures; if not, they lie beside it under their own names.
        docs: the address of the project's folder docs, as seen from the page; empty if it may be read without it.
    """

    has_pictures_inside: bool = True
    docs: str = ""

    def document(self, name: str, says: str) -> str:
        """What one of the project's pages has, and where it is."""
        where = html.link(f"docs/{name}", f"{self.docs}/{name}") if self.docs else f"docs/{name} of the project"
        return html.joined([f"{says}: ", where, "."])
