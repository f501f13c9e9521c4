//! The plots as SVG. Their colours are markers that the page's style replaces, so that one drawing
//! suits light and dark.

use super::{Bin, PlotError, Session};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use std::ops::Range;

/// Of one plot, in its own units; the page scales it.
const SIZE: (u32, u32) = (460, 230);
const SQUARE: (u32, u32) = (340, 320);

/// Text and axes, grid, the line of the goal: `style.css` knows these colours.
const INK: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(2, 2, 2);
const GOAL: RGBColor = RGBColor(3, 3, 3);

/// The colour of a series: `style.css` has as many.
pub(super) const MOST_SERIES: usize = 8;

fn colour(series: usize) -> RGBColor {
    RGBColor(
        16 + u8::try_from(series % MOST_SERIES).unwrap_or_default(),
        0,
        0,
    )
}

/// What is drawn over the sessions.
pub(super) struct Metric {
    pub(super) title: &'static str,
    /// The unit, and which way is better.
    pub(super) unit: &'static str,
    /// The line that must not be crossed.
    pub(super) goal: f64,
    /// Where the axis begins, or lower where a value is.
    pub(super) from: f64,
    /// Where it ends, or higher.
    pub(super) to: f64,
    pub(super) of: fn(&super::Figures) -> Option<f64>,
}

/// The metrics that are drawn, each with the goal that the bench has.
pub(super) const METRICS: [Metric; 4] = [
    Metric {
        title: "Precision",
        unit: "true accusations of all; more is better",
        goal: 0.95,
        from: 0.5,
        to: 1.0,
        of: |f| f.precision,
    },
    Metric {
        title: "Recall",
        unit: "culprits found of all; more is better",
        goal: 0.95,
        from: 0.5,
        to: 1.0,
        of: |f| f.recall,
    },
    Metric {
        title: "Error of the shares",
        unit: "points, mean; less is better",
        goal: 10.0,
        from: 0.0,
        to: 20.0,
        of: |f| f.share_error_points,
    },
    Metric {
        title: "Time to the first right verdict",
        unit: "seconds, median; less is better",
        goal: 5.0,
        from: 0.0,
        to: 6.0,
        of: |f| f.seconds_to_right,
    },
];

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// One metric over all sessions, a line a resource.
pub(super) fn over_sessions(
    metric: &Metric,
    sessions: &[Session],
    resources: &[String],
) -> Result<String, PlotError> {
    let series: Vec<Vec<(f64, f64)>> = resources
        .iter()
        .map(|resource| {
            let value = |session: &Session| {
                (metric.of)(session.rules.first()?.of(resource)?).filter(|v| v.is_finite())
            };
            let points = sessions.iter().enumerate();
            points
                .filter_map(|(at, session)| Some((at as f64 + 1.0, value(session)?)))
                .collect()
        })
        .collect();
    let highest = series.iter().flatten().map(|(_, value)| *value);
    let to = highest.fold(metric.to, f64::max);
    let lowest = series.iter().flatten().map(|(_, value)| *value);
    let from = (lowest.fold(metric.from, f64::min) * 10.0).floor() / 10.0;
    // Half a step on either side, so that one session alone has a place too.
    let x = 0.5..sessions.len().max(1) as f64 + 0.5;
    svg(metric.title, SIZE, |root| {
        let margin = (to - from) * 0.04;
        let mut chart = axes(root, x.clone(), from..to + margin, sessions.len())?;
        let goal = [(x.start, metric.goal), (x.end, metric.goal)];
        chart.draw_series(DashedLineSeries::new(goal, 5, 4, GOAL.stroke_width(2)))?;
        for (at, points) in series.iter().enumerate() {
            let colour = colour(at);
            chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?;
            let dots = points.iter().map(|p| Circle::new(*p, 4, colour.filled()));
            chart.draw_series(dots)?;
        }
        Ok(())
    })
}

/// Confidence against truth: on the diagonal it is honest. The larger a dot, the more verdicts.
pub(super) fn calibration(bins: &[Bin]) -> Result<String, PlotError> {
    let most = bins
        .iter()
        .map(|bin| bin.verdicts)
        .max()
        .unwrap_or(1)
        .max(1);
    svg("calibration", SQUARE, |root| {
        let mut chart = axes(root, 0.0..1.04, 0.0..1.04, 5)?;
        let diagonal = [(0.0, 0.0), (1.0, 1.0)];
        chart.draw_series(DashedLineSeries::new(diagonal, 5, 4, GOAL.stroke_width(2)))?;
        chart.draw_series(bins.iter().map(|bin| {
            // By area.
            let radius = 4.0 + 10.0 * (bin.verdicts as f64 / most as f64).sqrt();
            #[expect(clippy::cast_possible_truncation, reason = "between 4 and 14")]
            let radius = radius as i32;
            Circle::new((bin.said, bin.right), radius, colour(0).mix(0.7).filled())
        }))?;
        Ok(())
    })
}

type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Axes with a light grid. `labels` is how many there are room and reason for on the x axis.
fn axes<'a, 'b>(
    root: &'a DrawingArea<SVGBackend<'b>, Shift>,
    x: Range<f64>,
    y: Range<f64>,
    labels: usize,
) -> Result<Chart<'a, 'b>, DrawingAreaErrorKind<std::io::Error>> {
    let mut chart = ChartBuilder::on(root)
        .margin(8)
        .x_label_area_size(26)
        .y_label_area_size(38)
        .build_cartesian_2d(x.clone(), y)?;
    let sessions = x.end > 1.3;
    let text = TextStyle::from(("sans-serif", 13)).color(&INK);
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(1))
        .axis_style(INK.stroke_width(1))
        .label_style(text)
        .x_labels(labels.clamp(1, 10))
        .y_labels(5)
        // Sessions are whole, shares are not.
        .x_label_formatter(&|value| match sessions {
            true if (value - value.round()).abs() < 1e-6 => format!("{value:.0}"),
            true => String::new(),
            false => format!("{value:.1}"),
        })
        .y_label_formatter(&|value| {
            let text = format!("{value:.2}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        })
        .draw()?;
    Ok(chart)
}

/// A drawing as text that can stand in a page.
fn svg(
    what: &str,
    size: (u32, u32),
    draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Drawn,
) -> Result<String, PlotError> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&root)
            .and_then(|()| root.present())
            .map_err(|error| PlotError {
                what: what.to_owned(),
                why: error.to_string(),
            })?;
    }
    // A size of its own would keep the page from scaling it.
    let (width, height) = size;
    Ok(text.replacen(
        &format!("<svg width=\"{width}\" height=\"{height}\" "),
        "<svg role=\"img\" ",
        1,
    ))
}
