//! A limiter that cannot be passed: what is quiet stays as it is, what is loud is bent.

/// Below this nothing is changed.
const KNEE: f32 = 0.8;
/// No output is louder than this.
pub(crate) const CEILING: f32 = 0.98;

/// Bends `sample` so that it is never louder than [`CEILING`], with no step in value or slope at the knee.
pub(crate) fn limit(sample: f32) -> f32 {
    let over = sample.abs() - KNEE;
    if over <= 0.0 {
        return sample;
    }
    let room = CEILING - KNEE;
    // x / (1 + x) starts with slope 1 and never reaches 1. Of infinity it would be NaN.
    let bent = if over.is_finite() { over / (1.0 + over / room) } else { room };
    (KNEE + bent.min(room)).copysign(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Would catch clipping, and a limiter that changes what is quiet.
    #[test]
    fn quiet_stays_and_loud_stays_below_the_ceiling() {
        for sample in [0.0, 0.1, -0.5, 0.8, -0.8] {
            assert_eq!(limit(sample), sample);
        }
        for sample in [0.81, 1.0, 1.5, 10.0, 1e30, f32::INFINITY] {
            assert!(limit(sample) <= CEILING && limit(sample) > KNEE, "{sample}");
            assert_eq!(limit(-sample), -limit(sample));
        }
    }

    /// Would catch a kink or a fold, which are heard: louder in is never quieter out.
    #[test]
    fn louder_in_is_louder_out() {
        let curve: Vec<f32> = (0..4000u16).map(|step| limit(f32::from(step) / 1000.0)).collect();
        assert!(curve.windows(2).all(|pair| pair[1] >= pair[0] && pair[1] - pair[0] < 0.0011));
    }
}
