from reproduce.render import markdown


def test_markdown():
    text = """# One
A paragraph with `a*b` and **bold `code`** and
a second *line*, 3*3*64 and <b>.

- first
  goes on
- second

```
x < y
```
See [here](https://example.org/a?b=1&c) and [there](javascript:alert(1))."""
    assert markdown.to_html(text) == (
        "<h1>One</h1>\n"
        "<p>A paragraph with <code>a*b</code> and <strong>bold `code`</strong> and a second <em>line</em>, 3*3*64 and "
        "&lt;b&gt;.</p>\n"
        "<ul><li>first goes on</li><li>second</li></ul>\n"
        "<pre><code>x &lt; y</code></pre>\n"
        '<p>See <a href="https://example.org/a?b=1&amp;c">here</a> and [there](javascript:alert(1)).</p>'
    ).replace("bold `code`", "bold <code>code</code>")
    assert markdown.to_html("# a\n## b", top_level=5) == "<h5>a</h5>\n<h6>b</h6>"
