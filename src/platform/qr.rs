//! An address as a QR code in half blocks, for a phone's camera. Owns: its size with the quiet zone
//! around it. Must not know: where it is shown. Cameras want dark on light, whatever the theme.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// A code, drawn: dark modules are inked.
pub(crate) struct QrImage {
    /// Its lines, all as wide as `columns`.
    pub(crate) lines: Vec<String>,
    /// How wide it is.
    pub(crate) columns: usize,
}

impl QrImage {
    /// The code of that text; `None` for one too long for any.
    pub(crate) fn encode(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
        let image = code.render::<Dense1x2>().quiet_zone(false).build();
        // A quiet zone of two modules on each side: one row, two columns.
        let columns = image.lines().next().map_or(0, |line| line.chars().count()) + 4;
        let blank = " ".repeat(columns);
        let mut lines = vec![blank.clone()];
        lines.extend(image.lines().map(|line| format!("  {line}  ")));
        lines.push(blank);
        Some(Self { lines, columns })
    }

    /// Whether it fits.
    pub(crate) fn fits(&self, columns: usize, rows: usize) -> bool {
        self.columns <= columns && self.lines.len() <= rows
    }
}
