//! Figures over time as one SVG file, a panel for each quantity.
//!
//! In: panels of lines, seconds by value. Out: a file that every browser opens.

use std::error::Error;
use std::path::Path;

use plotters::prelude::{
    ChartBuilder, Color as _, IntoDrawingArea as _, IntoFont as _, LineSeries, PathElement,
    RGBColor, SVGBackend, WHITE,
};

const WIDTH: u32 = 960;
const PANEL_HEIGHT: u32 = 220;
/// Told apart by who sees red and green alike (Okabe and Ito).
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];

/// One quantity over time.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it is.
    pub name: &'static str,
    /// Seconds and values.
    pub points: Vec<(f64, f64)>,
}

impl Line {
    /// A quantity as it was seen.
    pub fn seen(name: &'static str, points: impl Iterator<Item = (f64, f64)>) -> Self {
        Self { name, points: points.collect() }
    }

    /// What a quantity that only grows grew by in a second, since the look before.
    pub fn rate(name: &'static str, points: impl Iterator<Item = (f64, f64)>) -> Self {
        let grown = |pair: &[(f64, f64)]| {
            let [(before, less), (now, more)] = [pair[0], pair[1]];
            (now, (more - less) / (now - before).max(1e-3))
        };
        let points: Vec<_> = points.collect();
        Self { name, points: points.windows(2).map(grown).collect() }
    }
}

/// Quantities of one unit.
#[derive(Debug, Clone)]
pub struct Panel {
    /// The unit, as the axis has it.
    pub unit: &'static str,
    /// At most four are told apart.
    pub lines: Vec<Line>,
}

/// Writes them under each other.
///
/// # Errors
///
/// The file cannot be written.
pub fn write(path: &Path, title: &str, panels: &[Panel]) -> Result<(), Box<dyn Error>> {
    let height = PANEL_HEIGHT * panels.len() as u32 + 40;
    let svg = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    svg.fill(&WHITE).map_err(|error| error.to_string())?;
    let rest = svg.titled(title, ("sans-serif", 20)).map_err(|error| error.to_string())?;
    for (panel, area) in panels.iter().zip(rest.split_evenly((panels.len().max(1), 1))) {
        draw(panel, &area).map_err(|error| error.to_string())?;
    }
    svg.present().map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    Ok(())
}

type Area<'a> = plotters::drawing::DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(panel: &Panel, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
    let points = || panel.lines.iter().flat_map(|line| line.points.iter());
    // An axis needs some length.
    let seconds = points().fold(1.0, |most: f64, point| most.max(point.0));
    let most = points().fold(0.0, |most: f64, point| most.max(point.1)).max(1e-9) * 1.05;
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..seconds, 0.0..most)
        .map_err(|error| error.to_string())?;
    chart
        .configure_mesh()
        .x_desc("s")
        .y_desc(panel.unit)
        .label_style(("sans-serif", 13).into_font())
        .light_line_style(WHITE)
        .draw()
        .map_err(|error| error.to_string())?;
    for (line, colour) in panel.lines.iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))
            .map_err(|error| error.to_string())?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 13))
        .draw()
        .map_err(|error| error.to_string())?;
    Ok(())
}
