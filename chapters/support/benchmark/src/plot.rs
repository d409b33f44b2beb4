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

const SIZE: (u32, u32) = (560, 300);

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
    let top = lines.iter().flat_map(|(_, points)| points).map(|it| it.1);
    let top = top.fold(0.0, f64::max) * 1.05;
    let (Some(&first), Some(&last)) = (sizes.first(), sizes.last()) else {
        return Err(anyhow!("{section} was not measured"));
    };

    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(64)
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
        .x_desc(across)
        .y_desc(up)
        .x_label_formatter(&|&x| in_words(if x < 1.0 { 0.0 } else { x }))
        .y_label_formatter(&|&y| in_words(y))
        .draw()
        .map_err(|error| anyhow!("{error}"))?;
    for (number, (server, points)) in lines.into_iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        chart
            .draw_series(
                LineSeries::new(points, colour.stroke_width(2)).point_size(3),
            )
            .map_err(|error| anyhow!("{error}"))?
            .label(server)
            .legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2))
            });
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .draw()
        .map_err(|error| anyhow!("{error}"))?;
    area.present().map_err(|error| anyhow!("{error}"))?;
    drop(chart);
    drop(area);
    Ok(for_any_page(&svg))
}

/// Where a size is on a logarithmic axis, which has no zero.
fn place(size: usize) -> f64 {
    if size == 0 { 0.3 } else { size as f64 }
}

fn in_words(value: f64) -> String {
    crate::table::number(value, if value > 0.0 && value < 10.0 { 1 } else { 0 })
        .trim_end_matches(".0")
        .to_owned()
}

/// Black becomes the colour of the page's text, so that the plot can be read on a
/// dark page; the size is that of the page.
fn for_any_page(svg: &str) -> String {
    let size = format!("width=\"{}\" height=\"{}\" ", SIZE.0, SIZE.1);
    svg.replacen(&size, "", 1).replace("#000000", "currentColor")
}
