"""How things look: pictures, tables, Markdown, HTML. Opens no results store."""
