//! Plots, as SVG.

use anyhow::anyhow;
use plotters::prelude::*;

use crate::results::Results;

/// A plot: a figure over what grows, a line for each server.
#[derive(Clone, Copy, Debug)]
pub struct Plot {
    pub section: &'static str,
    pub figure: &'static str,
    /// What grows, below the horizontal axis.
    pub across: &'static str,
    /// The figure and its unit, beside the vertical axis.
    pub up: &'static str,
}

const SIZE: (u32, u32) = (500, 300);

/// As in the book's other pictures.
const FONT: (&str, i32) = ("sans-serif", 13);

/// Above the plot: the name of each line.
const LEGEND: i32 = 28;

/// They can be told apart on a white and on a dark page, and without colours by
/// their marks.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0x1f, 0x77, 0xb4),
    RGBColor(0xd9, 0x5f, 0x02),
    RGBColor(0x2c, 0xa0, 0x2c),
    RGBColor(0xc0, 0x39, 0x8b),
    RGBColor(0x8c, 0x6d, 0x31),
];

/// Draws the medians. Both axes are logarithmic where they have to be: sizes from 1
/// to 10,000 are, workers from 1 to 16 are in powers of two anyway.
///
/// # Errors
/// If the figure was not measured, or plotters fails.
pub fn plot(results: &Results, plot: Plot) -> anyhow::Result<String> {
    let Plot { section, figure, across, up } = plot;
    let sizes = results.sizes(section);
    let mut lines = Vec::new();
    for server in results.servers(section) {
        let point = |&size: &usize| {
            let summary = results.summary(section, server, size, figure)?;
            Some((place(size), summary.median))
        };
        let points: Vec<(f64, f64)> = sizes.iter().filter_map(point).collect();
        lines.push((server, points));
    }
    let label = describe(plot, &lines);
    let top = lines.iter().flat_map(|(_, points)| points).map(|it| it.1);
    let top = top.fold(0.0, f64::max) * 1.05;
    let (Some(&first), Some(&last)) = (sizes.first(), sizes.last()) else {
        return Err(anyhow!("{section} was not measured"));
    };

    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(8)
        .margin_top(LEGEND)
        .margin_right(28)
        .x_label_area_size(46)
        .y_label_area_size(88)
        .build_cartesian_2d(
            (place(first)..place(last))
                .log_scale()
                .with_key_points(sizes.iter().map(|&it| place(it)).collect()),
            0.0..top,
        )
        .map_err(|error| anyhow!("{error}"))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.15))
        .label_style(FONT)
        .axis_desc_style(FONT)
        .x_desc(across)
        .y_desc(up)
        .x_label_formatter(&|&x| size_in_words(x))
        .y_label_formatter(&|&y| in_words(y))
        .draw()
        .map_err(|error| anyhow!("{error}"))?;
    for (number, (server, points)) in lines.into_iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let line = LineSeries::new(points, colour.stroke_width(2)).point_size(3);
        chart.draw_series(line).map_err(|error| anyhow!("{error}"))?;
        let (x, y) = (80 + 100 * number as i32, LEGEND / 2);
        let dash = PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2));
        area.draw(&dash).map_err(|error| anyhow!("{error}"))?;
        let font = FONT.into_font();
        let name = Text::new(server, (x + 26, y - 5), font);
        area.draw(&name).map_err(|error| anyhow!("{error}"))?;
    }
    area.present().map_err(|error| anyhow!("{error}"))?;
    drop(chart);
    drop(area);
    Ok(for_any_page(&svg, &label))
}

/// Where a size is on a logarithmic axis, which has no zero.
fn place(size: usize) -> f64 {
    if size == 0 { 0.3 } else { size as f64 }
}

fn size_in_words(place: f64) -> String {
    in_words(if place < 1.0 { 0.0 } else { place })
}

fn in_words(value: f64) -> String {
    crate::table::number(value, if value > 0.0 && value < 10.0 { 1 } else { 0 })
        .trim_end_matches(".0")
        .to_owned()
}

/// The plot in words, for a reader who cannot see it.
fn describe(plot: Plot, lines: &[(&str, Vec<(f64, f64)>)]) -> String {
    let mut text = format!("{} by {}.", plot.up, plot.across);
    for (server, points) in lines {
        let values: Vec<String> = points
            .iter()
            .map(|&(x, y)| format!("{} at {}", in_words(y), size_in_words(x)))
            .collect();
        text += &format!(" {server}: {}.", values.join(", "));
    }
    text
}

/// Black becomes the colour of the page's text, so that the plot can be read on a
/// dark page; the size is that of the page.
fn for_any_page(svg: &str, label: &str) -> String {
    let size = format!("width=\"{}\" height=\"{}\" ", SIZE.0, SIZE.1);
    let label = format!("role=\"img\" aria-label=\"{label}\" ");
    svg.replacen(&size, &label, 1).replace("#000000", "currentColor")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Sample;

    #[test]
    fn a_plot_is_an_svg_with_a_text() {
        let samples = [("shared", 0, 5.0), ("shared", 100, 7.5), ("Node", 0, 20.0)];
        let samples =
            samples.map(|(server, size, value): (&str, usize, f64)| Sample {
                section: "s".to_owned(),
                server: server.to_owned(),
                size,
                round: 0,
                figure: "f".to_owned(),
                value,
            });
        let samples = samples.to_vec();
        let results = Results { samples, ..Results::default() };
        let which = Plot { section: "s", figure: "f", across: "idle", up: "p99" };
        let svg = plot(&results, which).expect("a plot");
        let label = "aria-label=\"p99 by idle. shared: 5 at 0, 7.5 at 100. Node: 20 at 0.\"";
        assert!(svg.contains(label), "{svg}");
        assert!(svg.starts_with("<svg role") && !svg.contains("#000000"), "{svg}");
        let nothing = Plot { section: "other", ..which };
        assert!(plot(&results, nothing).is_err());
    }
}
