//! Links of an HTML page: what package indexes served before JSON (PEP 503).

/// The `href`s of a page's anchors, entities decoded. Nothing else of HTML is understood.
pub(super) fn links(page: &str) -> impl Iterator<Item = String> + '_ {
    let mut rest = page;
    std::iter::from_fn(move || {
        loop {
            rest = rest.split_once('<')?.1;
            let Some(tag) = rest.strip_prefix(['a', 'A']) else { continue };
            if !tag.starts_with(|char: char| char.is_ascii_whitespace()) {
                continue;
            }
            let end = rest.find('>')?;
            let (tag, after) = rest.split_at(end);
            rest = after;
            if let Some(href) = href(tag) {
                return Some(unescape(href));
            }
        }
    })
}

fn href(tag: &str) -> Option<&str> {
    let lower = tag.to_ascii_lowercase();
    let mut from = 0;
    loop {
        let place = from + lower[from..].find("href")?;
        from = place + 4;
        // `data-href` is another attribute.
        if !lower[..place].ends_with(|char: char| char.is_ascii_whitespace()) {
            continue;
        }
        let Some(value) = tag[from..].trim_start().strip_prefix('=').map(str::trim_start) else { continue };
        let quote = value.chars().next().filter(|char| matches!(char, '"' | '\''))?;
        return value[1..].split_once(quote).map(|(href, _)| href);
    }
}

fn unescape(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_found() {
        let page = r#"<!doctype html><abbr href="no"><a data-href="no" href="a.whl#sha256=1">x</a>
            <A HREF='b.whl?x=1&amp;y=2' data-requires-python="&gt;=3">y</A><a name="x">z</a><a href=bare><a href="open"#;
        assert_eq!(links(page).collect::<Vec<_>>(), ["a.whl#sha256=1", "b.whl?x=1&y=2"]);
    }

    #[test]
    fn nonsense_ends() {
        for page in ["", "<a", "<a ", "<a href", "<a href=\"x", "<a<a<a", "ß<a\u{a0}href=\"ü\">"] {
            assert!(links(page).count() <= 1, "{page}");
        }
    }
}
