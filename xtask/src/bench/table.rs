//! Measurements as rows.

use anstyle::{AnsiColor, Style};

/// Ours against one peer.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Row {
    /// What was measured: `shell-seq`.
    pub(crate) name: String,
    /// In what: `commands/s`. More is better unless the note says otherwise.
    pub(crate) unit: String,
    /// Our figure.
    pub(crate) ours: f64,
    /// Whom it is compared with.
    pub(crate) peer: String,
    /// Its figure, where it could be measured.
    pub(crate) peer_value: Option<f64>,
    /// How many times better ours is: above 1 ours is better. The median of the ratios of the
    /// rounds, since what disturbs one round disturbs both sides of it.
    pub(crate) ratio: Option<f64>,
    /// What else there is to know: why there is no figure, how it was taken.
    pub(crate) note: String,
}

/// Prints the rows for people.
pub(crate) fn print(rows: &[Row]) {
    anstream::print!("{}", text(rows));
}

fn text(rows: &[Row]) -> String {
    let figure = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    let cells: Vec<[String; 7]> = rows
        .iter()
        .map(|row| {
            [
                row.name.clone(),
                format!("{:.1}", row.ours),
                row.peer.clone(),
                figure(row.peer_value),
                row.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}x")),
                row.unit.clone(),
                row.note.clone(),
            ]
        })
        .collect();
    let titles = ["benchmark", "ours", "peer", "peer's", "ratio", "unit", "note"];
    let width = |column: usize| {
        let longest = cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        longest.max(titles[column].len())
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let line = |row: &[String]| {
        let cell = |(column, text): (usize, &String)| {
            // Figures stand at the right of their columns.
            if matches!(column, 1 | 3 | 4) {
                format!("{text:>width$}", width = widths[column])
            } else {
                format!("{text:<width$}", width = widths[column])
            }
        };
        row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let bold = Style::new().bold();
    let mut text = format!("{bold}{}{bold:#}\n", line(&titles.map(str::to_owned)));
    for (row, cells) in rows.iter().zip(&cells) {
        let style = match row.ratio {
            Some(ratio) if ratio < 0.95 => AnsiColor::Red.on_default(),
            _ => Style::new(),
        };
        text.push_str(&format!("{style}{}{style:#}\n", line(cells)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_columns() {
        let row = |peer: &str, peer_value: Option<f64>, note: &str| Row {
            name: "shell-seq".into(),
            unit: "commands/s".into(),
            ours: 512.34,
            peer: peer.into(),
            peer_value,
            ratio: peer_value.map(|value| 512.34 / value),
            note: note.into(),
        };
        let rows = [row("raw", Some(500.0), ""), row("paramiko", None, "not installed")];
        let text = anstream::adapter::strip_str(&text(&rows)).to_string();
        insta::assert_snapshot!(text, @r"
        benchmark   ours  peer      peer's  ratio  unit        note
        shell-seq  512.3  raw        500.0  1.02x  commands/s
        shell-seq  512.3  paramiko       -      -  commands/s  not installed
        ");
    }
}
