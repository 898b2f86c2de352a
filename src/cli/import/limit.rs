//! How many wrong rows an import takes along.

/// How many rejects are taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum MaxRejects {
    Rows(u64),
    Percent(f64),
}

impl MaxRejects {
    /// `N` or `N%`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "a number of rows, or a percentage: 250 or 2%".to_owned();
        match text.strip_suffix('%') {
            None => text.parse().map(Self::Rows).map_err(|_| wrong()),
            Some(percent) => {
                let plain = percent.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                let percent: f64 = percent.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
                if percent <= 100.0 { Ok(Self::Percent(percent)) } else { Err(wrong()) }
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a file has fewer rows than an f64 counts exactly")]
    pub(super) fn allows(self, wrong: u64, rows: u64) -> bool {
        match self {
            Self::Rows(limit) => wrong <= limit,
            Self::Percent(percent) => wrong as f64 * 100.0 <= percent * rows as f64,
        }
    }
}

/// Rejects that are taken where nobody said how many: both hold.
pub(super) const LIMITS: [MaxRejects; 2] = [MaxRejects::Percent(1.0), MaxRejects::Rows(100)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_rows_or_percent() {
        assert_eq!(MaxRejects::parse("250"), Ok(MaxRejects::Rows(250)));
        assert_eq!(MaxRejects::parse("2%"), Ok(MaxRejects::Percent(2.0)));
        assert_eq!(MaxRejects::parse("0.5%"), Ok(MaxRejects::Percent(0.5)));
        for text in ["", "%", "-1", "101%", "-1%", "x", "1e2%", "NaN%", "inf%", "2 %"] {
            assert!(MaxRejects::parse(text).is_err(), "{text}");
        }
        let allows = |limit: &str, wrong, rows| MaxRejects::parse(limit).unwrap().allows(wrong, rows);
        assert!(allows("50%", 2, 4) && !allows("50%", 3, 4) && allows("0", 0, 9) && !allows("0", 1, 9));
    }
}
