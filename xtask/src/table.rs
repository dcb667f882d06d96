//! A table for a terminal.

/// Rows of cells; a cell may have several lines.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with this first row.
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row of as many cells.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table with its columns aligned and a line between rows.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(|column| self.width(column)).collect();
        let rule = widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("+");
        let rows = self.rows.iter().map(|row| render_row(row, &widths)).collect::<Vec<_>>();
        rows.join(&format!("{rule}\n"))
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.flat_map(|cell| cell.lines()).map(|line| line.chars().count()).max().unwrap_or(0)
    }
}

fn render_row(row: &[String], widths: &[usize]) -> String {
    let height = row.iter().map(|cell| cell.lines().count()).max().unwrap_or(0);
    let mut text = String::new();
    for line in 0..height {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!(" {:width$} ", cell.lines().nth(line).unwrap_or_default()));
        text.push_str(cells.collect::<Vec<_>>().join("|").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_over_lines() {
        let mut table = Table::new(&["sent", "back"]);
        table.row(["über".to_owned(), "401\ncode".to_owned()]);
        table.row(["x".repeat(6), String::new()]);
        let expected = "
 sent   | back
--------+------
 über   | 401
        | code
--------+------
 xxxxxx |
";
        assert_eq!(format!("\n{}", table.render()), expected);
    }
}
