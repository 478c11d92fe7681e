//! Files become the samples that they hold, in their order; a bad one is named.
use super::open_network;
use super::tool::*;
use rsquant::pipeline::{Context, Prepared};
use rsquant::quantize::QConfig;
use rsquant::tensor::TensorView;

const RECORD: usize = 3073;

/// CIFAR-10 records of noise.
fn records(count: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = noise(count * RECORD, 3).iter().map(|x| (x * 127.0 + 128.0) as u8).collect();
    bytes.chunks_exact_mut(RECORD).enumerate().for_each(|(index, record)| record[0] = (index % 10) as u8);
    bytes
}

/// A record's pixels, `[32, 32, 3]`.
fn pixels(record: &[u8]) -> Vec<u8> {
    (0..1024).flat_map(|pixel| [0, 1, 2].map(|colour| record[1 + colour * 1024 + pixel])).collect()
}

fn png_file(width: u32, height: u32, colour: png::ColorType, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    bytes
}

#[test]
fn pictures_and_cifar_files_are_the_arrays_that_they_stand_for() {
    let folder = Folder::new("pictures");
    let onnx = open_network::write(&folder);
    let bytes = records(5);
    folder.write("cifar/data_batch_1.bin", &bytes[..3 * RECORD]);
    folder.write("cifar/data_batch_2.bin", &bytes[3 * RECORD..]);
    folder.write("cifar/readme.html", "left out beside batches of CIFAR-10");
    let mut stack = Vec::new();
    for (index, record) in bytes.chunks_exact(RECORD).enumerate() {
        let (name, pixels) = (format!("png/{index}.png"), pixels(record));
        if index == 2 {
            // Transparency is left out.
            let with_alpha: Vec<u8> = pixels.chunks_exact(3).flat_map(|rgb| [rgb, &[77]].concat()).collect();
            folder.write(&name, png_file(32, 32, png::ColorType::Rgba, &with_alpha));
        } else {
            folder.write(&name, png_file(32, 32, png::ColorType::Rgb, &pixels));
        }
        stack.extend(record[1..].iter().enumerate().map(|(at, &byte)| {
            let (mean, std) = ([0.5, 0.25, 0.1][at / 1024], [0.5, 0.5, 0.2][at / 1024]);
            (f32::from(byte) / 255.0 - mean) / std
        }));
    }
    folder.write("npy/all.npy", npy(&[5, 3, 32, 32], &stack));
    let normalize = ["--mean", "0.5,0.25,0.1", "--std", "0.5,0.5,0.2"];
    let state = |name: &str, options: &[&str]| {
        let (data, output) = (folder.at(name), folder.at("state.cal"));
        let mut arguments = vec!["calibrate", &onnx, "--calibration", &data, "-o", &output];
        arguments.extend(options);
        succeeds(&arguments);
        folder.read("state.cal")
    };
    let expected = state("npy", &[]);
    assert!(state("cifar", &normalize) == expected && state("png", &normalize) == expected);
    assert!(state("png", &["--mean", "0.5"]) != expected);
    let resized = state("png", &["--resize", "20x24"]);
    assert!(resized == state("cifar", &["--resize", "20x24", "--batch", "2"]) && resized != state("png", &[]));
}

#[test]
fn grey_networks_take_grey_pictures_and_colours() {
    let folder = Folder::new("grey");
    let onnx = onnx(&network("lenet_like"));
    let grey: Vec<u8> = noise(400, 5).iter().map(|x| (x * 127.0 + 128.0) as u8).collect();
    let colours: Vec<u8> = grey.iter().flat_map(|&grey| [grey; 3]).collect();
    folder.write("grey/0.png", png_file(20, 20, png::ColorType::Grayscale, &grey));
    folder.write("colours/0.png", png_file(20, 20, png::ColorType::Rgb, &colours));
    folder.write("array/0.npy", npy(&[1, 20, 20], &grey.iter().map(|&byte| f32::from(byte) / 255.0).collect::<Vec<_>>()));
    let states = ["grey", "colours", "array"].map(|name| {
        let (data, output) = (folder.at(name), folder.at("state.cal"));
        succeeds(&["calibrate", &onnx, "--calibration", &data, "-o", &output]);
        folder.read("state.cal")
    });
    assert!(states[0] == states[2] && states[1] == states[2]);
}

#[test]
fn several_inputs_have_a_folder_each() {
    let folder = Folder::new("inputs");
    let network = network("two_inputs_two_outputs");
    let (onnx, output) = (onnx(&network), folder.at("state.cal"));
    let (images, vectors) = (noise(3 * 3 * 12 * 10, 1), noise(3 * 9, 2));
    let write = |samples: &[std::ops::Range<usize>], vector_folder: &str| {
        for (index, range) in samples.iter().enumerate() {
            let count = range.len();
            let image = &images[range.start * 360..range.end * 360];
            folder.write(&format!("data/image/{index}.npy"), npy(&[count, 3, 12, 10], image));
            folder.write(&format!("data/{vector_folder}/{index}.npy"), npy(&[count, 9], &vectors[range.start * 9..range.end * 9]));
        }
    };
    write(&[0..2, 2..3], "input1");
    let data = folder.at("data");
    let calibrate = ["calibrate", &onnx, "--calibration", &data, "-o", &output];
    assert_eq!(json(&calibrate)["samples"].as_u64(), Some(3));
    let mut prepared = Prepared::new(&Context::default_context().unwrap(), &graph(&network), &QConfig::default_static(), None).unwrap();
    let views = [TensorView::f32(&images, &[3, 3, 12, 10]).unwrap(), TensorView::f32(&vectors, &[3, 9]).unwrap()];
    prepared.calibrate(&views).unwrap();
    assert!(folder.read("state.cal") == prepared.calibration_bytes().unwrap());

    folder.write("data/input1/9.npy", npy(&[1, 9], &vectors[..9]));
    let alone = fails(1, &calibrate);
    assert!(alone.contains("input1/9.npy") && alone.contains("image"), "{alone}");
    folder.write("data/image/9.npy", npy(&[2, 3, 12, 10], &images[..720]));
    let counts = fails(1, &calibrate);
    assert!(counts.contains("input1/9.npy") && counts.contains('2'), "{counts}");
    std::fs::remove_dir_all(folder.at("data/input1")).unwrap();
    assert!(fails(1, &calibrate).contains("vector"));
}

#[test]
fn a_bad_file_is_named_and_nothing_is_written() {
    let folder = Folder::new("bad");
    let onnx = onnx(&network("resnet_like"));
    let mut nan = noise(2 * 1200, 1);
    nan[1200 + 7] = f32::NAN;
    let good = npy(&[2, 3, 20, 20], &noise(2400, 1));
    let png = png_file(20, 20, png::ColorType::Rgb, &[9; 1200]);
    let mut label = records(2);
    label[RECORD] = 11;
    let double = String::from_utf8_lossy(&good).contains("<f4").then(|| {
        let at = good.windows(3).position(|window| window == b"<f4").unwrap();
        [&good[..at], b"<f8", &good[at + 3..]].concat()
    });
    let cases: [(&str, Vec<u8>, &str); 11] = [
        ("nan.npy", npy(&[2, 3, 20, 20], &nan), "sample 1, element 7 is NaN"),
        ("infinite.npy", npy(&[1, 3, 20, 20], &[f32::INFINITY; 1200]), "inf"),
        ("cut.npy", good[..good.len() - 4].to_vec(), "shape"),
        ("double.npy", double.unwrap(), "<f8"),
        ("shape.npy", npy(&[2, 4, 20, 20], &noise(3200, 1)), "[2, 4, 20, 20]"),
        ("text.npy", b"no array at all".to_vec(), ".npy"),
        ("cut.png", png[..png.len() / 2].to_vec(), ""),
        ("text.jpg", b"no picture".to_vec(), "neither PNG nor JPEG"),
        ("size.bin", vec![0; 3074], "3074"),
        ("label.bin", label, "record 1 has the label 11"),
        ("notes.txt", b"notes".to_vec(), "no data"),
    ];
    for (name, bytes, part) in cases {
        let data = folder.at(&name.replace('.', "_"));
        let path = folder.write(&format!("{}/{name}", name.replace('.', "_")), bytes);
        folder.write(&format!("{}/a_good_one.npy", name.replace('.', "_")), &good);
        let output = folder.at("m.rsq");
        let line = fails(1, &["quantize", &onnx, "--calibration", &data, "-o", &output]);
        assert!(line.contains(&path) && line.contains(part), "{name}: {line}");
        assert!(!std::path::Path::new(&output).exists(), "{name}");
    }
    let output = folder.at("m.rsq");
    let quantize = |data: &str, more: &[&str]| fails(1, &[&["quantize", &onnx, "-o", &output, "--calibration", data], more].concat());
    std::fs::create_dir_all(folder.at("empty")).unwrap();
    let (empty, absent) = (folder.at("empty"), folder.at("absent"));
    assert!(quantize(&empty, &[]).contains(&empty) && quantize(&absent, &[]).contains(&absent));
    let good = folder.write("good.npy", &good);
    assert!(quantize(&good, &["--skip", "2"]).contains("--skip 2"));
    // A picture of another size than a network with one size takes.
    let fixed = super::tool::onnx(&network("mobilenet_v2_like"));
    let picture = folder.write("small.png", png_file(20, 20, png::ColorType::Rgb, &[9; 1200]));
    let line = fails(1, &["quantize", &fixed, "-o", &output, "--calibration", &picture]);
    assert!(line.contains("small.png") && line.contains("--resize 18x18"), "{line}");
}

#[test]
fn whole_files_are_batches_as_they_are() {
    let folder = Folder::new("whole_files");
    let onnx = open_network::write(&folder);
    // Sizes may differ from file to file where the network leaves them open; samples of one size may share a batch.
    folder.write("data/0.npy", npy(&[2, 3, 20, 20], &noise(2400, 1)));
    folder.write("data/1.npy", npy(&[1, 3, 24, 20], &noise(1440, 2)));
    folder.write("data/2.npy", npy(&[1, 3, 20, 20], &noise(1200, 3)));
    let data = folder.at("data");
    let states = [&["--whole-files"][..], &["--batch", "32"], &["--batch", "1"]].map(|options| {
        let output = folder.at("state.cal");
        let told = json(&[&["calibrate", &onnx, "--calibration", &data, "-o", &output], options].concat());
        assert_eq!(told["samples"].as_u64(), Some(4));
        folder.read("state.cal")
    });
    assert!(states[0] == states[1] && states[1] == states[2]);
}
