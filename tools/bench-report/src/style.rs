// SPDX-License-Identifier: MIT OR Apache-2.0
//! How figures look: every size, colour and shape in one place.
//!
//! Lengths are pixels of a figure drawn at scale 1.

use plotters::style::RGBColor;

/// Width and height of a figure.
pub const SIZE: (u32, u32) = (960, 540);

/// Font family in the SVG files. The first two have the same widths, so that
/// texts fit as they were laid out on most machines.
pub const FONT_FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";
/// Size of the title.
pub const TITLE_FONT: u32 = 24;
/// Size of axis names and legend.
pub const LABEL_FONT: u32 = 17;
/// Size of the lines below the title and of the marks' values.
pub const SMALL_FONT: u32 = 15;

/// Free space around everything.
pub const MARGIN: i32 = 16;
/// From the upper edge to the first line below the title.
pub const SUBTITLE_TOP: i32 = 44;
/// From one line of small text to the next.
pub const LINE_HEIGHT: i32 = 19;
/// Room for the name and the values of the x axis.
pub const X_LABELS: i32 = 54;
/// Room for the name and the values of the y axis.
pub const Y_LABELS: i32 = 88;
/// Length of an axis mark.
pub const TICK: i32 = 4;
/// From one row of the legend to the next.
pub const LEGEND_ROW: i32 = 26;
/// Length of a legend's piece of line.
pub const LEGEND_LINE: i32 = 40;
/// Largest share of the width that a legend may take, in percent.
pub const LEGEND_MAX_PERCENT: i32 = 35;
/// Distance that keeps the points of neighbouring series apart.
pub const DODGE: i32 = 5;
/// Half the width of a whisker's cap.
pub const CAP: i32 = 4;
/// Half the width of a marker.
pub const MARKER: i32 = 5;
/// Share of the value axis left free above the largest value.
pub const HEADROOM: f64 = 0.04;

/// Colour of texts.
pub const INK: RGBColor = RGBColor(30, 30, 30);
/// Colour of the lines below the title.
pub const FAINT_INK: RGBColor = RGBColor(85, 85, 85);
/// Colour of the horizontal grid lines.
pub const GRID: RGBColor = RGBColor(225, 225, 225);
/// Colour of the axes.
pub const AXIS: RGBColor = RGBColor(90, 90, 90);

/// Shape of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Filled disc.
    Disc,
    /// Filled square.
    Square,
    /// Filled triangle.
    Triangle,
    /// Filled diamond.
    Diamond,
    /// Diagonal cross.
    Cross,
    /// Upright cross.
    Plus,
}

/// Look of one series. No two series of a figure look the same even in black
/// and white.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Colour of line and points.
    pub color: RGBColor,
    /// Shape of the points.
    pub marker: Marker,
    /// Length of dashes and of the gaps between them; `None` is a solid line.
    pub dash: Option<(u32, u32)>,
    /// Width of the line.
    pub width: u32,
}

const fn look(rgb: (u8, u8, u8), marker: Marker, dash: Option<(u32, u32)>, width: u32) -> Look {
    Look {
        color: RGBColor(rgb.0, rgb.1, rgb.2),
        marker,
        dash,
        width,
    }
}

/// The colour-blind-safe palette of Okabe and Ito, without its yellow (too
/// faint on white) and its black (too close to the text).
const VARIANTS: [Look; 6] = [
    look((0, 114, 178), Marker::Disc, None, 2),
    look((213, 94, 0), Marker::Square, Some((16, 4)), 2),
    look((0, 158, 115), Marker::Triangle, Some((9, 4)), 2),
    look((204, 121, 167), Marker::Diamond, Some((4, 3)), 2),
    look((230, 159, 0), Marker::Disc, Some((12, 8)), 2),
    look((86, 180, 233), Marker::Square, None, 2),
];

/// Baselines are grey and dashed.
const BASELINES: [Look; 3] = [
    look((95, 95, 95), Marker::Cross, Some((7, 5)), 2),
    look((140, 140, 140), Marker::Plus, Some((3, 4)), 2),
    look((60, 60, 60), Marker::Diamond, Some((12, 6)), 2),
];

/// Look of the `index`th baseline, or of the `index`th other variant.
pub fn series(index: usize, baseline: bool) -> Look {
    if baseline {
        BASELINES[index % BASELINES.len()]
    } else {
        VARIANTS[index % VARIANTS.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_differ_without_colour() {
        let looks: Vec<Look> = VARIANTS.into_iter().chain(BASELINES).collect();
        for (index, one) in looks.iter().enumerate() {
            for other in &looks[index + 1..] {
                assert!(one.marker != other.marker || one.dash != other.dash);
            }
        }
    }

    #[test]
    fn baselines_are_dashed() {
        assert!((0..9).all(|index| series(index, true).dash.is_some()));
    }
}
