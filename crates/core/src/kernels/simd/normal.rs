//! The tail of the standard normal distribution, as polynomials that the compiler can vectorise.
//!
//! Φ(-a) = ½ erfc(a / √2) falls like e^(-a²/2) / (a √2π). So Φ(-a) e^(a²/2) is a smooth function, which falls like K t / √2π with
//! t = 1 / (1 + a / K). Divided by t, it is a polynomial in u = 2t - 1 from -1 (a = ∞) to 1 (a = 0) for all a of 0 or more. (The idea is that of
//! M. Shepherd and J. Laframboise 1981, "Chebyshev approximation of (1 + 2x) exp(x²) erfc x in 0 <= x < ∞".) With K = 4.5 the series
//! of Chebyshev polynomials is short. The coefficients are sums of its terms, computed with 60 digits. Cut off are 1e-8 of the function in
//! `f32`, and 5e-17 in `f64`.

const K: f64 = 4.5;

/// Powers of u, the highest first.
const F32: [f32; 12] = [
    1.833_708_2e-6,
    1.753_244_2e-5,
    4.926_206e-7,
    -1.963_593_2e-4,
    -3.897_128_6e-4,
    9.348_169_6e-4,
    7.527_267e-3,
    2.475_254_8e-2,
    5.625_369_8e-2,
    9.921_159_6e-2,
    1.422_795e-1,
    1.696_067_9e-1,
];

const F64: [f64; 23] = [
    2.320_056_008_182_222e-10,
    -5.916_179_479_679_329e-11,
    -2.500_287_272_157_332_4e-9,
    1.371_304_515_493_830_7e-9,
    1.568_936_192_271_758_3e-8,
    -1.467_823_959_542_910_5e-8,
    -8.428_015_998_992_568e-8,
    1.119_433_231_207_208e-7,
    4.761_502_178_907_511_5e-7,
    -7.093_474_002_485_036e-7,
    -3.163_491_636_974_475_4e-6,
    3.540_828_758_923_155_3e-6,
    2.489_835_715_380_968e-5,
    -1.418_065_701_159_769e-6,
    -2.039_436_616_309_385e-4,
    -3.886_290_106_532_891_6e-4,
    9.385_807_503_998_874e-4,
    7.526_961_372_356_701_4e-3,
    2.475_168_812_676_271_6e-2,
    5.625_373_332_244_998_4e-2,
    9.921_167_045_681_628e-2,
    1.422_795_022_783_592_3e-1,
    1.696_067_842_156_007e-1,
];

/// Φ(-a) e^(a²/2) for a of 0 or more.
#[inline(always)]
pub fn tail_ratio_f32(a: f32) -> f32 {
    let t = 1.0 / a.mul_add(const { (1.0 / K) as f32 }, 1.0);
    let u = t.mul_add(2.0, -1.0);
    let mut p = F32[0];
    for coefficient in &F32[1..] {
        p = p.mul_add(u, *coefficient);
    }
    p * t
}

/// As [`tail_ratio_f32`].
#[inline(always)]
pub fn tail_ratio_f64(a: f64) -> f64 {
    let t = 1.0 / a.mul_add(1.0 / K, 1.0);
    let u = t.mul_add(2.0, -1.0);
    let mut p = F64[0];
    for coefficient in &F64[1..] {
        p = p.mul_add(u, *coefficient);
    }
    p * t
}

#[cfg(test)]
mod tests {
    use super::*;

    /// a and Φ(-a) e^(a²/2), computed by mpmath with 50 digits.
    const EXACT: [(f64, f64); 13] = [
        (0.0, 0.5),
        (0.001, 0.499_601_307_586_680_25),
        (0.25, 0.414_032_102_947_735_4),
        (0.5, 0.34961883472039807),
        (1.0, 0.261_578_291_865_123_4),
        (1.5, 0.205_780_666_977_394_7),
        (2.0, 0.168_102_001_223_170_6),
        (3.0, 0.121_513_948_355_562_17),
        (4.5, 0.084_803_392_107_800_34),
        (6.0, 0.064_779_314_324_446_85),
        (10.0, 0.039_506_694_101_386_006),
        (20.0, 0.019_897_615_648_327_03),
        (40.0, 0.009_967_335_188_301_31),
    ];

    #[test]
    fn the_tail_has_all_digits_of_its_type() {
        for (a, exact) in EXACT {
            let (single, double) = (f64::from(tail_ratio_f32(a as f32)), tail_ratio_f64(a));
            assert!((single / exact - 1.0).abs() < 2e-7, "{a}: {single} {exact}");
            assert!((double / exact - 1.0).abs() < 1e-15, "{a}: {double} {exact}");
        }
        assert_eq!((tail_ratio_f32(0.0), tail_ratio_f64(0.0)), (0.5, 0.5));
        assert_eq!((tail_ratio_f32(f32::INFINITY), tail_ratio_f64(f64::INFINITY)), (0.0, 0.0));
        assert!(tail_ratio_f32(f32::NAN).is_nan());
    }
}
