//! The conversion itself.

/// A unit: a value in the base unit of its quantity is `value * factor + offset`.
pub struct Unit {
    pub symbol: &'static str,
    quantity: &'static str,
    factor: f64,
    offset: f64,
}

include!("../../schema/gen/units.rs");

pub fn convert(value: f64, from: &str, to: &str) -> Result<f64, String> {
    let (source, target) = (find(from)?, find(to)?);
    if source.quantity != target.quantity {
        return Err(format!("{from} is {}, {to} is {}", source.quantity, target.quantity));
    }
    Ok((value * source.factor + source.offset - target.offset) / target.factor)
}

fn find(symbol: &str) -> Result<&'static Unit, String> {
    UNITS.iter().find(|unit| unit.symbol == symbol).ok_or_else(|| format!("unknown unit `{symbol}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        assert!((convert(1.0, "mi", "km").unwrap() - 1.609344).abs() < 1e-9);
    }

    #[test]
    fn temperatures_have_an_offset() {
        assert!((convert(100.0, "degC", "degF").unwrap() - 212.0).abs() < 1e-9);
    }

    #[test]
    fn quantities_are_not_mixed() {
        assert_eq!(convert(1.0, "kg", "km").unwrap_err(), "kg is mass, km is length");
    }

    #[test]
    fn unknown_units_are_named() {
        assert_eq!(convert(1.0, "league", "km").unwrap_err(), "unknown unit `league`");
    }
}
