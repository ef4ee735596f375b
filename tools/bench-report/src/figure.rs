// SPDX-License-Identifier: MIT OR Apache-2.0
//! Draws a sheet: medians joined by lines, with whiskers from the smallest to
//! the largest sample.
//!
//! The x axis has one place for each value that was measured, all equally far
//! apart: 1, 16, 64 and 256 connections are easier to compare this way than on
//! any true scale. The y axis starts at zero.

use std::ops::Range;
use std::path::Path;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use thiserror::Error;

use crate::group::Sheet;
use crate::results::Instrument;
use crate::stats::Summary;
use crate::style::{self, Look, Marker};
use crate::units::Axis;

/// A figure could not be drawn or written.
#[derive(Debug, Error)]
#[error("cannot draw {file}: {reason}")]
pub struct FigureError {
    file: String,
    reason: String,
}

/// The outcome of drawing on a backend.
type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// Pixels from the upper left corner of the figure.
type Point = (i32, i32);

/// Draws `sheet` as an SVG document, naming `instrument` on it.
///
/// The font must have been registered: see [`crate::fonts::register`].
///
/// # Errors
///
/// [`FigureError`] if there is no font.
pub fn svg(sheet: &Sheet, instrument: &Instrument) -> Result<String, FigureError> {
    let failed = |error: &dyn std::fmt::Display| FigureError {
        file: sheet.title(),
        reason: error.to_string(),
    };
    let mut document = String::new();
    {
        let root = SVGBackend::with_string(&mut document, style::SIZE).into_drawing_area();
        draw(&root, 1, sheet, instrument).map_err(|error| failed(&error))?;
        root.present().map_err(|error| failed(&error))?;
    }
    Ok(document)
}

/// Draws `sheet` as `file`, a PNG of `scale` times the usual size.
///
/// The font must have been registered: see [`crate::fonts::register`].
///
/// # Errors
///
/// [`FigureError`] if there is no font or the file cannot be written.
pub fn png(
    sheet: &Sheet,
    instrument: &Instrument,
    file: &Path,
    scale: u32,
) -> Result<(), FigureError> {
    let failed = |error: &dyn std::fmt::Display| FigureError {
        file: file.display().to_string(),
        reason: error.to_string(),
    };
    let size = (style::SIZE.0 * scale, style::SIZE.1 * scale);
    let root = BitMapBackend::new(file, size).into_drawing_area();
    draw(&root, scale, sheet, instrument).map_err(|error| failed(&error))?;
    root.present().map_err(|error| failed(&error))
}

/// A backend with the scale that everything on it is drawn at.
struct Canvas<'a, DB: DrawingBackend> {
    root: &'a DrawingArea<DB, Shift>,
    scale: u32,
}

fn draw<DB: DrawingBackend>(
    root: &DrawingArea<DB, Shift>,
    scale: u32,
    sheet: &Sheet,
    instrument: &Instrument,
) -> Drawn<DB> {
    let canvas = Canvas { root, scale };
    root.fill(&WHITE)?;

    let top = canvas.header(sheet, instrument)?;
    let looks = looks(sheet);
    let legend_width = canvas.legend(sheet, &looks, top)?;

    let label = canvas.font(style::LABEL_FONT, style::INK);
    let small = canvas.font(style::SMALL_FONT, style::INK);
    let axis = Axis::up_to(largest(sheet) * (1.0 + style::HEADROOM));
    let places: Vec<f64> = (0..sheet.xs.len()).map(|place| place as f64).collect();
    let right = sheet.xs.len() as f64 - 0.5;
    let x_text = |place: &f64| {
        sheet
            .xs
            .get(place.round() as usize)
            .map_or_else(String::new, |x| sheet.x_label(*x))
    };
    let y_text = |value: &f64| axis.label(*value);

    let mut chart = ChartBuilder::on(root)
        .margin_top(top)
        .margin_right(legend_width)
        .margin_bottom(canvas.px(style::MARGIN))
        .margin_left(canvas.px(style::MARGIN))
        .x_label_area_size(canvas.px(style::X_LABELS))
        .y_label_area_size(canvas.px(style::Y_LABELS))
        .build_cartesian_2d(
            Ticks {
                range: -0.5..right,
                at: places,
            },
            Ticks {
                range: 0.0..axis.top(),
                at: axis.ticks.clone(),
            },
        )?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(style::GRID.stroke_width(scale))
        .axis_style(style::AXIS.stroke_width(scale))
        .set_all_tick_mark_size(canvas.px(style::TICK))
        .x_label_formatter(&x_text)
        .y_label_formatter(&y_text)
        .label_style(small)
        .axis_desc_style(label)
        .x_desc(sheet.axis.clone().unwrap_or_default())
        .y_desc(format!("{} ({})", sheet.metric_name(), sheet.unit))
        .draw()?;

    for (index, (series, look)) in sheet.series.iter().zip(&looks).enumerate() {
        // Series side by side, so that whiskers do not cover one another.
        let aside = (2 * index as i32 - (looks.len() as i32 - 1)) * style::DODGE / 2;
        let at = |place: usize, value: f64| {
            let (x, y) = chart.backend_coord(&(place as f64, value));
            (x + canvas.px(aside), y)
        };
        let points: Vec<Option<Summary>> = sheet.xs.iter().map(|x| series.at(*x)).collect();
        let places: Vec<Option<Point>> = points
            .iter()
            .enumerate()
            .map(|(place, point)| point.map(|summary| at(place, summary.median)))
            .collect();
        // A value that is missing is a gap in the line, not a straight piece.
        for piece in places.split(Option::is_none) {
            let piece: Vec<Point> = piece.iter().copied().flatten().collect();
            canvas.line(&piece, look)?;
        }
        for (place, point) in points.iter().enumerate() {
            if let Some(summary) = point {
                canvas.whisker(at(place, summary.min), at(place, summary.max), look)?;
                canvas.marker(at(place, summary.median), look)?;
            }
        }
    }
    Ok(())
}

/// A linear axis with ticks where it is told; the ranges of plotters with key points of one's own
/// have no formatting.
struct Ticks {
    range: Range<f64>,
    at: Vec<f64>,
}

impl Ranged for Ticks {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let part = (value - self.range.start) / (self.range.end - self.range.start);
        limit.0 + (f64::from(limit.1 - limit.0) * part).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.at.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// The largest sample of `sheet`.
fn largest(sheet: &Sheet) -> f64 {
    sheet
        .series
        .iter()
        .flat_map(|series| &series.points)
        .map(|(_, summary)| summary.max)
        .fold(0.0, f64::max)
}

/// The looks of the series, in their order.
fn looks(sheet: &Sheet) -> Vec<Look> {
    let (mut baselines, mut others) = (0, 0);
    sheet
        .series
        .iter()
        .map(|series| {
            let counter = if series.baseline {
                &mut baselines
            } else {
                &mut others
            };
            let look = style::series(*counter, series.baseline);
            *counter += 1;
            look
        })
        .collect()
}

impl<DB: DrawingBackend> Canvas<'_, DB> {
    /// `length` at the scale of the canvas.
    fn px(&self, length: i32) -> i32 {
        length * self.scale as i32
    }

    fn font(&self, size: u32, color: RGBColor) -> TextStyle<'static> {
        (style::FONT_FAMILY, size * self.scale)
            .into_font()
            .color(&color)
    }

    /// Title, instrument and direction; returns where the free space begins.
    fn header(
        &self,
        sheet: &Sheet,
        instrument: &Instrument,
    ) -> Result<i32, DrawingAreaErrorKind<DB::ErrorType>> {
        let left = self.px(style::MARGIN);
        let width = self.px(style::SIZE.0 as i32) - 2 * left;
        let title = self.font(style::TITLE_FONT, style::INK);
        let text = self.fit(sheet.title(), &title, width)?;
        self.root
            .draw_text(&text, &title, (left, self.px(style::MARGIN / 2)))?;

        let faint = self.font(style::SMALL_FONT, style::FAINT_INK);
        let kind = instrument.kind.name();
        let lines = [
            format!("Instrument: {kind} ({})", instrument.detail),
            format!(
                "{}; points are medians, whiskers reach from the smallest to the largest sample",
                sheet.better.phrase()
            ),
        ];
        let mut y = style::SUBTITLE_TOP;
        for line in lines {
            let line = self.fit(line, &faint, width)?;
            self.root.draw_text(&line, &faint, (left, self.px(y)))?;
            y += style::LINE_HEIGHT;
        }
        Ok(self.px(y + style::LINE_HEIGHT / 2))
    }

    /// The legend, on the right and below `top`; returns the width it takes.
    fn legend(
        &self,
        sheet: &Sheet,
        looks: &[Look],
        top: i32,
    ) -> Result<i32, DrawingAreaErrorKind<DB::ErrorType>> {
        let font = self.font(style::LABEL_FONT, style::INK);
        let total = self.px(style::SIZE.0 as i32);
        let (margin, line) = (self.px(style::MARGIN), self.px(style::LEGEND_LINE));
        let most = total * style::LEGEND_MAX_PERCENT / 100 - 2 * margin - line;
        let mut names = Vec::new();
        let mut widest = 0;
        for series in &sheet.series {
            let role = if series.baseline { " (baseline)" } else { "" };
            let name = self.fit(format!("{}{role}", series.variant), &font, most)?;
            widest = widest.max(self.width(&name, &font)?);
            names.push(name);
        }
        // Half a margin between the plot and the lines, and before the names.
        let width = margin / 2 + line + margin / 2 + widest + margin;
        let left = total - width + margin / 2;
        let mut y = top + self.px(style::LEGEND_ROW / 2);
        for (name, look) in names.iter().zip(looks) {
            self.line(&[(left, y), (left + line, y)], look)?;
            self.marker((left + line / 2, y), look)?;
            let corner = (
                left + line + margin / 2,
                y - self.px(style::LABEL_FONT as i32) / 2,
            );
            self.root.draw_text(name, &font, corner)?;
            y += self.px(style::LEGEND_ROW);
        }
        Ok(width)
    }

    fn line(&self, points: &[Point], look: &Look) -> Drawn<DB> {
        if points.len() < 2 {
            return Ok(());
        }
        let stroke = look.color.stroke_width(look.width * self.scale);
        match look.dash {
            None => self.root.draw(&PathElement::new(points.to_vec(), stroke)),
            Some((dash, gap)) => self.root.draw(&DashedPathElement::new(
                points.to_vec(),
                dash * self.scale,
                gap * self.scale,
                stroke,
            )),
        }
    }

    fn whisker(&self, low: Point, high: Point, look: &Look) -> Drawn<DB> {
        if low.1 == high.1 {
            return Ok(());
        }
        let cap = self.px(style::CAP);
        let ends = [
            [low, high],
            [(low.0 - cap, low.1), (low.0 + cap, low.1)],
            [(high.0 - cap, high.1), (high.0 + cap, high.1)],
        ];
        let stroke = look.color.stroke_width(self.scale);
        for end in ends {
            self.root.draw(&PathElement::new(end, stroke))?;
        }
        Ok(())
    }

    fn marker(&self, (x, y): Point, look: &Look) -> Drawn<DB> {
        let r = self.px(style::MARKER);
        let fill = look.color.filled();
        let stroke = look.color.stroke_width(look.width * self.scale);
        match look.marker {
            Marker::Disc => self.root.draw(&Circle::new((x, y), r, fill)),
            Marker::Square => {
                let corners = [(x - r, y - r), (x + r, y + r)];
                self.root.draw(&Rectangle::new(corners, fill))
            }
            Marker::Triangle => {
                let corners = vec![(x, y - r), (x + r, y + r), (x - r, y + r)];
                self.root.draw(&Polygon::new(corners, fill))
            }
            Marker::Diamond => {
                let corners = vec![(x, y - r), (x + r, y), (x, y + r), (x - r, y)];
                self.root.draw(&Polygon::new(corners, fill))
            }
            Marker::Cross => self.root.draw(&Cross::new((x, y), r, stroke)),
            Marker::Plus => {
                let across = [(x - r, y), (x + r, y)];
                let down = [(x, y - r), (x, y + r)];
                self.root.draw(&PathElement::new(across, stroke))?;
                self.root.draw(&PathElement::new(down, stroke))
            }
        }
    }

    /// The width of `text` in pixels.
    fn width(
        &self,
        text: &str,
        font: &TextStyle<'_>,
    ) -> Result<i32, DrawingAreaErrorKind<DB::ErrorType>> {
        Ok(self.root.estimate_text_size(text, font)?.0 as i32)
    }

    /// `text`, cut short if it is wider than `width` pixels.
    fn fit(
        &self,
        text: String,
        font: &TextStyle<'_>,
        width: i32,
    ) -> Result<String, DrawingAreaErrorKind<DB::ErrorType>> {
        if self.width(&text, font)? <= width {
            return Ok(text);
        }
        let mut kept = text;
        while kept.pop().is_some() {
            let cut = format!("{}…", kept.trim_end());
            if self.width(&cut, font)? <= width {
                return Ok(cut);
            }
        }
        Ok(kept)
    }
}
