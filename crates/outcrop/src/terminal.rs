//! Small things for people: sizes, tables.

/// Bytes as a person reads them: `98 MB`, `1.1 GB` (powers of ten, as disks and hubs count).
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 10.0 && unit > 0 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// A number as a person reads it: `135 million`, `7.2 billion`.
pub(crate) fn count(number: u64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e12, "trillion"), (1e9, "billion"), (1e6, "million")];
    let value = number as f64;
    match UNITS.into_iter().find(|(unit, _)| value >= *unit * 0.9995) {
        Some((unit, name)) if value / unit < 9.95 => format!("{:.1} {name}", value / unit),
        Some((unit, name)) => format!("{:.0} {name}", value / unit),
        None => number.to_string(),
    }
}

/// Rows under a header, columns as wide as they need, last column free.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = header.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = line(&header.map(str::to_owned), &widths);
    for row in rows {
        text.push('\n');
        text.push_str(&line(row, &widths));
    }
    text
}

fn line<const N: usize>(cells: &[String; N], widths: &[usize; N]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(&format!("{cell:<width$}  "));
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_000), "1.0 kB");
        assert_eq!(size(98_400_000), "98 MB");
        assert_eq!(size(1_100_000_000), "1.1 GB");
        assert_eq!(size(999_600), "1.0 MB");
    }

    #[test]
    fn counts_read_well() {
        assert_eq!(count(999), "999");
        assert_eq!(count(134_515_008), "135 million");
        assert_eq!(count(7_248_023_552), "7.2 billion");
        assert_eq!(count(999_885_952), "1.0 billion");
    }

    #[test]
    fn columns_line_up() {
        let rows = [["a".into(), "1".into()], ["long".into(), "2".into()]];
        assert_eq!(table(["id", "n"], &rows), "id    n\na     1\nlong  2");
    }
}
