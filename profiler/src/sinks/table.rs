//! Tables that fit the width of a page: columns shrink, then the least important ones go.

use super::color::Paint;
use super::escape::{columns, fitted};

/// Between two columns.
const GAP: usize = 2;

/// One column.
pub(super) struct Column {
    /// Its title.
    pub(super) title: &'static str,
    /// Numbers stand on the right.
    pub(super) right: bool,
    /// Down to which width it may shrink; `None` for not at all.
    pub(super) least: Option<usize>,
    /// The columns with the highest number go first where the page is too narrow; 0 stays.
    pub(super) expendable: u8,
}

impl Column {
    /// A column of text that may shrink to `least` columns.
    pub(super) fn text(title: &'static str, least: usize, expendable: u8) -> Column {
        Column {
            title,
            right: false,
            least: Some(least),
            expendable,
        }
    }

    /// A column of numbers.
    pub(super) fn number(title: &'static str, expendable: u8) -> Column {
        Column {
            title,
            right: true,
            least: None,
            expendable,
        }
    }
}

/// A table whose cells are escaped already.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(columns: Vec<Column>) -> Table {
        Table {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row with one cell a column.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(cells);
    }

    /// The lines of the table, each at most `width` columns wide after `indent` spaces.
    pub(super) fn render(&self, width: usize, indent: usize, paint: Paint) -> String {
        let widths = self.widths(width.saturating_sub(indent));
        let titles: Vec<String> = self.columns.iter().map(|c| c.title.to_owned()).collect();
        let mut out = String::new();
        for (number, cells) in std::iter::once(&titles).chain(&self.rows).enumerate() {
            let line = self.line(cells, &widths);
            let line = if number == 0 { paint.bold(&line) } else { line };
            out.push_str(&" ".repeat(indent));
            out.push_str(&line);
            out.push('\n');
        }
        out
    }

    fn line(&self, cells: &[String], widths: &[Option<usize>]) -> String {
        let mut line = String::new();
        for ((cell, column), width) in cells.iter().zip(&self.columns).zip(widths) {
            let Some(width) = *width else { continue };
            if !line.is_empty() {
                line.push_str(&" ".repeat(GAP));
            }
            let cell = fitted(cell, width);
            let padding = " ".repeat(width.saturating_sub(columns(&cell)));
            if column.right {
                line.push_str(&padding);
                line.push_str(&cell);
            } else {
                line.push_str(&cell);
                line.push_str(&padding);
            }
        }
        line.truncate(line.trim_end().len());
        line
    }

    /// The width of each column; `None` for those that found no place.
    fn widths(&self, room: usize) -> Vec<Option<usize>> {
        let mut widths: Vec<Option<usize>> = (0..self.columns.len())
            .map(|i| Some(self.natural(i)))
            .collect();
        loop {
            let excess = total(&widths).saturating_sub(room);
            if excess == 0 || self.shrink(&mut widths, excess) {
                return widths;
            }
            let candidates = self
                .columns
                .iter()
                .enumerate()
                .filter(|(i, _)| widths[*i].is_some());
            let least_important = candidates
                .filter(|(_, c)| c.expendable > 0)
                .max_by_key(|(_, c)| c.expendable);
            let Some((index, _)) = least_important else {
                return widths;
            };
            widths = (0..self.columns.len())
                .map(|i| widths[i].map(|_| self.natural(i)))
                .collect();
            widths[index] = None;
        }
    }

    fn natural(&self, index: usize) -> usize {
        let cells = self
            .rows
            .iter()
            .filter_map(|row| row.get(index))
            .map(|cell| columns(cell));
        cells
            .max()
            .unwrap_or(0)
            .max(self.columns[index].title.len())
    }

    /// Takes `excess` columns from the widest columns that may shrink; whether all of it was there.
    fn shrink(&self, widths: &mut [Option<usize>], excess: usize) -> bool {
        for _ in 0..excess {
            let spare = |i: usize| Some(widths[i]?.saturating_sub(self.columns[i].least?));
            let widest = (0..widths.len())
                .filter(|i| spare(*i).is_some_and(|s| s > 0))
                .max_by_key(|i| widths[*i]);
            let Some(index) = widest else { return false };
            widths[index] = widths[index].map(|w| w - 1);
        }
        true
    }
}

fn total(widths: &[Option<usize>]) -> usize {
    let shown = widths.iter().flatten();
    shown.clone().sum::<usize>() + GAP * shown.count().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(vec![
            Column::text("NAME", 6, 0),
            Column::text("IMAGE", 5, 1),
            Column::number("CPU%", 0),
        ]);
        table.row(vec![
            "frontend".into(),
            "registry/shop:1".into(),
            "12.5".into(),
        ]);
        table.row(vec!["db".into(), "-".into(), "3.0".into()]);
        table
    }

    #[test]
    fn everything_is_shown_where_there_is_room() {
        let expected = "NAME      IMAGE            CPU%\n\
                        frontend  registry/shop:1  12.5\n\
                        db        -                 3.0\n";
        assert_eq!(table().render(80, 0, Paint::default()), expected);
    }

    #[test]
    fn the_widest_column_shrinks_first() {
        let expected = "NAME      IMAGE     CPU%\n\
                        frontend  registr…  12.5\n\
                        db        -          3.0\n";
        assert_eq!(table().render(24, 0, Paint::default()), expected);
    }

    #[test]
    fn then_the_expendable_column_goes() {
        let expected = "NAME      CPU%\nfrontend  12.5\ndb         3.0\n";
        assert_eq!(table().render(16, 0, Paint::default()), expected);
    }

    #[test]
    fn no_page_is_too_narrow_to_terminate() {
        for width in 0..40 {
            assert!(!table().render(width, 2, Paint::default()).is_empty());
        }
    }
}
