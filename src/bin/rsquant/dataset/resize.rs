//! Bilinear resizing as Pillow's `Image.resize` does it: the triangle grows with the reduction, sums are fixed-point, and the
//! width is done before the height (Resample.c).
use super::picture::Picture;

/// 32 bits less 8 of the pixel less 2 for sums above the range.
const PRECISION_BITS: u32 = 32 - 8 - 2;
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// What an output pixel of one axis is made of.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

fn windows(src: usize, dst: usize) -> Vec<Window> {
    let scale = src as f64 / dst as f64;
    let support = scale.max(1.0);
    let window = |index: usize| {
        let centre = (index as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(src);
        let triangle = |tap: usize| (1.0 - ((tap as f64 - centre + 0.5) * (1.0 / support)).abs()).max(0.0);
        let exact: Vec<f64> = (first..end).map(triangle).collect();
        let sum: f64 = exact.iter().sum();
        let fixed = |&weight: &f64| {
            let weight = if sum == 0.0 { weight } else { weight / sum };
            (weight * f64::from(1 << PRECISION_BITS) + 0.5) as i32
        };
        Window { first, weights: exact.iter().map(fixed).collect() }
    };
    (0..dst).map(window).collect()
}

/// Weighs pixels that stand `stride` bytes apart.
fn weigh(pixels: &[u8], start: usize, stride: usize, window: &Window) -> u8 {
    let taps = window.weights.iter().enumerate();
    let sum: i32 = taps.map(|(tap, weight)| i32::from(pixels[start + (window.first + tap) * stride]) * weight).sum();
    u8::try_from(((sum + HALF) >> PRECISION_BITS).clamp(0, 255)).unwrap_or(u8::MAX)
}

/// The picture at another size.
pub fn resize(picture: &Picture, width: usize, height: usize) -> Picture {
    let Picture { channels, .. } = *picture;
    let mut pixels = picture.pixels.clone();
    if width != picture.width {
        let windows = windows(picture.width, width);
        let row = |y: usize| {
            let pixels = &pixels;
            windows.iter().flat_map(move |window| {
                (0..channels).map(move |channel| weigh(pixels, y * picture.width * channels + channel, channels, window))
            })
        };
        pixels = (0..picture.height).flat_map(row).collect();
    }
    if height != picture.height {
        let stride = width * channels;
        let windows = windows(picture.height, height);
        pixels = windows.iter().flat_map(|window| (0..stride).map(|at| weigh(&pixels, at, stride, window)).collect::<Vec<_>>()).collect();
    }
    Picture { width, height, channels, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: usize, height: usize, pixels: &[u8]) -> Picture {
        Picture { width, height, channels: 1, pixels: pixels.to_vec() }
    }

    #[test]
    fn sizes_that_stay_change_nothing_and_flat_pictures_stay_flat() {
        let picture = grey(3, 2, &[1, 2, 3, 250, 5, 6]);
        assert_eq!(resize(&picture, 3, 2), picture);
        let flat = resize(&grey(5, 7, &[93; 35]), 11, 3);
        assert!(flat.pixels.iter().all(|&pixel| pixel == 93) && flat.pixels.len() == 33);
    }

    #[test]
    fn pixels_are_those_of_pillow() {
        // PIL.Image.fromarray(numpy.array([[0, 100, 200, 50]], numpy.uint8)).resize((8, 1), PIL.Image.BILINEAR), and to (2, 1).
        let row = grey(4, 1, &[0, 100, 200, 50]);
        assert_eq!(resize(&row, 8, 1).pixels, [0, 25, 75, 125, 175, 163, 88, 50]);
        assert_eq!(resize(&row, 2, 1).pixels, [71, 121]);
        let column = grey(1, 4, &[0, 100, 200, 50]);
        assert_eq!(resize(&column, 1, 8).pixels, resize(&row, 8, 1).pixels);
    }
}
