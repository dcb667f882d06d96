//! The results as a bar chart, in SVG.

use super::listeners::Subject;
use super::results::Results;
use super::statistics::{median, range};
use std::fmt::Write as _;

const LEFT: f64 = 230.0;
const WIDTH: f64 = 620.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 70.0;
const BAR: f64 = 12.0;
const GAP: f64 = 14.0;

/// A group of bars for each case, a bar for each listener: the median, a line over all rounds, and the number.
pub(super) fn svg(results: &Results) -> String {
    let cases = results.cases();
    let scale = WIDTH / greatest(results).max(1.0);
    let group = BAR * Subject::ALL.len() as f64 + GAP;
    let (width, height) = (LEFT + WIDTH + RIGHT, TOP + group * cases.len() as f64 + 10.0);
    let mut body = legend();
    for (index, (case, algorithm)) in cases.iter().enumerate() {
        let top = TOP + group * index as f64;
        let title = if *algorithm == "-" {
            case.title().to_owned()
        } else {
            format!("{algorithm}, {}", case.title())
        };
        text(&mut body, LEFT - 8.0, top + group / 2.0, "end", &title);
        for (subject, row) in Subject::ALL.into_iter().zip(0_u8..) {
            bar(
                &mut body,
                top + BAR * f64::from(row),
                results.micros(*case, algorithm, subject),
                scale,
                color(subject),
            );
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

fn legend() -> String {
    let mut out = String::new();
    text(
        &mut out,
        10.0,
        22.0,
        "start",
        "CPU µs of a request in Envoy: median, and a line from the least to the greatest round",
    );
    for (subject, column) in Subject::ALL.into_iter().zip(0_u8..) {
        let left = 10.0 + 150.0 * f64::from(column);
        rect(&mut out, left, 36.0, BAR, BAR, color(subject));
        text(&mut out, left + BAR + 5.0, 46.0, "start", subject.title());
    }
    out
}

fn bar(out: &mut String, top: f64, micros: &[f64], scale: f64, color: &str) {
    if micros.is_empty() {
        return;
    }
    let median = median(micros);
    let (least, greatest) = range(micros);
    rect(out, LEFT, top, median * scale, BAR - 2.0, color);
    let (x1, x2, y) = (LEFT + least * scale, LEFT + greatest * scale, top + BAR / 2.0 - 1.0);
    let _ = writeln!(out, "<path d=\"M{x1:.1} {y:.1}H{x2:.1}\" stroke=\"#000\"/>");
    text(out, x2.max(LEFT + median * scale) + 4.0, top + BAR - 3.0, "start", &format!("{median:.1}"));
}

fn rect(out: &mut String, x: f64, y: f64, width: f64, height: f64, color: &str) {
    let _ = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{color}\"/>"
    );
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

fn greatest(results: &Results) -> f64 {
    results.cpu.iter().flat_map(|cpu| &cpu.micros).copied().fold(0.0, f64::max)
}

/// Told apart also by those who cannot see all colours (Okabe and Ito).
fn color(subject: Subject) -> &'static str {
    match subject {
        Subject::Bare => "#bbbbbb",
        Subject::Nothing => "#56b4e9",
        Subject::Native => "#d55e00",
        Subject::NativeCache => "#e69f00",
        Subject::Ours => "#009e73",
    }
}

#[cfg(test)]
mod tests {
    use crate::bench::report::tests::results;

    #[test]
    fn bars_are_as_long_as_their_numbers() {
        let svg = super::svg(&results());
        // The greatest round, 51 µs, takes the whole width of 620.
        for part in [
            r##"width="607.8" height="10.0" fill="#009e73"/>"##,
            r##"width="121.6" height="10.0" fill="#bbbbbb"/>"##,
            r##"<path d="M825.7 123.0H850.0" stroke="#000"/>"##,
            ">RS256, every token new</text>",
            ">no token</text>",
            ">50.0</text>",
        ] {
            assert!(svg.contains(part), "{part}\n{svg}");
        }
        assert_eq!(svg.matches("<path").count(), 3 * 5);
    }
}
