//! How libFuzzer's own mutations and those that know a format work together.
use super::mutate::Random;

/// Changes `data[..size]` in place by `change`, whose second argument changes single fields: as [`super::mutate::raw`] does, or as
/// libFuzzer does, which knows the values that the code compares with. The new size.
pub fn apply(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    change: impl FnOnce(&[u8], &mut Random, &mut dyn FnMut(&mut Vec<u8>, &mut Random)) -> Vec<u8>,
) -> usize {
    let mut random = Random(u64::from(seed));
    let mut field = |bytes: &mut Vec<u8>, random: &mut Random| {
        if random.below(2) == 0 {
            return super::mutate::raw(bytes, random);
        }
        let size = bytes.len();
        let most = size + 64;
        bytes.resize(most, 0);
        let size = libfuzzer_sys::fuzzer_mutate(bytes, size, most);
        bytes.truncate(size);
    };
    let changed = change(&data[..size], &mut random, &mut field);
    if changed.is_empty() || changed.len() > max_size {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    data[..changed.len()].copy_from_slice(&changed);
    changed.len()
}
