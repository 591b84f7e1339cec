//! QR codes drawn with half blocks. Cameras need dark modules on a light background, whatever the
//! theme of the dashboard.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// A drawn QR code with its quiet zone.
pub(crate) struct QrImage {
    /// Lines of text, each `columns` wide.
    pub(crate) lines: Vec<String>,
    /// Width in terminal columns.
    pub(crate) columns: usize,
}

impl QrImage {
    /// Encodes `text`. `None` if it is too long for a QR code.
    pub(crate) fn encode(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
        let image = code.render::<Dense1x2>().quiet_zone(false).build();
        // The quiet zone is two modules wide on each side: one row, two columns.
        let columns = image.lines().next().map_or(0, |line| line.chars().count()) + 4;
        let blank = " ".repeat(columns);
        let mut lines = vec![blank.clone()];
        lines.extend(image.lines().map(|line| format!("  {line}  ")));
        lines.push(blank);
        Some(Self { lines, columns })
    }

    /// Returns the columns and rows that the image of `text` needs; more than any terminal has if it is too
    /// long for a QR code.
    pub(crate) fn measure(text: &str) -> (u16, u16) {
        let cells = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        Self::encode(text)
            .map_or((u16::MAX, u16::MAX), |image| (cells(image.columns), cells(image.lines.len())))
    }

    /// Returns whether the image fits into this many columns and rows.
    pub(crate) fn fits(&self, columns: usize, rows: usize) -> bool {
        self.columns <= columns && self.lines.len() <= rows
    }
}
