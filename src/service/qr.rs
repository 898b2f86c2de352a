//! A text as a QR code (ISO/IEC 18004) in SVG: for a phone's screen, and for paper.

use std::fmt::Write as _;

use qrcode::types::{QrError, Version};
use qrcode::{Color, EcLevel, QrCode};

/// Larger codes are hard to read from a phone's screen: then error correction gives way first.
const VERSION_MAX: i16 = 20;
/// The margin that a reader needs, in modules.
const QUIET_MODULES: usize = 4;
/// Of the picture where nobody scales it: a code of version 19 is 303 pixels wide then, and a phone 360.
const MODULE_PIXELS: usize = 3;

/// Damage to 15 % of the code is repaired where that fits a version of at most [`VERSION_MAX`], else to 7 %.
fn encode(text: &str) -> Result<QrCode, QrError> {
    let is_small = |code: &QrCode| matches!(code.version(), Version::Normal(version) if version <= VERSION_MAX);
    match QrCode::with_error_correction_level(text, EcLevel::M) {
        Ok(code) if is_small(&code) => Ok(code),
        _ => QrCode::with_error_correction_level(text, EcLevel::L),
    }
}

/// The picture. Fails where the text is longer than any code holds (2,953 bytes).
pub(super) fn to_svg(text: &str) -> Result<String, QrError> {
    let code = encode(text)?;
    let width = code.width();
    let size = width + 2 * QUIET_MODULES;
    let pixels = size * MODULE_PIXELS;
    // Single quotes, because it goes into JSON. A stroke for each run of dark modules: a tenth of a square for each module.
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{pixels}' height='{pixels}' viewBox='0 0 {size} {size}' \
         shape-rendering='crispEdges'><path fill='#fff' d='M0 0h{size}v{size}H0z'/><path stroke='#000' d='"
    );
    for (y, row) in code.to_colors().chunks(width).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|one, next| one == next) {
            if run.first() == Some(&Color::Dark) {
                // Writing to a string does not fail.
                let _ = write!(svg, "M{} {}.5h{}", x + QUIET_MODULES, y + QUIET_MODULES, run.len());
            }
            x += run.len();
        }
    }
    svg.push_str("'/></svg>");
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_gives_up_correction_before_it_grows() {
        for (length, version, level) in [
            (1, 1, EcLevel::M),
            (666, 20, EcLevel::M),
            (667, 18, EcLevel::L),
            (858, 20, EcLevel::L),
            (859, 21, EcLevel::L),
        ] {
            let code = encode(&"~".repeat(length)).unwrap();
            assert_eq!((code.version(), code.error_correction_level()), (Version::Normal(version), level), "{length}");
        }
        assert!(to_svg(&"~".repeat(2953)).is_ok());
        assert!(to_svg(&"~".repeat(2954)).is_err());
    }
}
