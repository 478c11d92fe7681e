//! Which files a data set is made of, in the order of their paths. Hidden files are left out.
use rsquant::error::{Error, Result};
use rsquant::pipeline::TensorInfo;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The training batches of CIFAR-10's binary version: where a folder has some, they are its samples.
const CIFAR_BATCHES: &str = "data_batch_";

/// For each entry of the data set the files of all inputs.
///
/// # Errors
/// `Io`; `NotFound` naming a folder without files, or one that is missing; `Mismatch` naming a file that only one input has.
pub fn of_inputs(root: &Path, inputs: &[TensorInfo]) -> Result<Vec<Vec<PathBuf>>> {
    if inputs.len() < 2 {
        return Ok(files(root)?.into_iter().map(|path| vec![path]).collect());
    }
    let mut lists = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        let folders = [root.join(&input.name), root.join(format!("input{index}"))];
        let Some(folder) = folders.into_iter().find(|folder| folder.is_dir()) else {
            let what = format!("{}: no folder {} (or input{index}) for that input", root.display(), input.name);
            return Err(Error::NotFound(what));
        };
        let files = files(&folder)?;
        let names: BTreeSet<PathBuf> = files.iter().map(|path| path.strip_prefix(&folder).unwrap_or(path).to_owned()).collect();
        lists.push((folder, names));
    }
    let (first_folder, first) = &lists[0];
    for (folder, names) in &lists[1..] {
        let alone = first.difference(names).next().map(|name| (first_folder, name, folder));
        let alone = alone.or_else(|| names.difference(first).next().map(|name| (folder, name, first_folder)));
        if let Some((here, name, there)) = alone {
            return Err(Error::Mismatch(format!("{}: there is no such file in {}", here.join(name).display(), there.display())));
        }
    }
    Ok(first.iter().map(|name| lists.iter().map(|(folder, _)| folder.join(name)).collect()).collect())
}

/// A file itself, or all files below a folder.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    if std::fs::metadata(root).map_err(|error| Error::io(root, &error))?.is_file() {
        return Ok(vec![root.to_owned()]);
    }
    let mut found = Vec::new();
    walk(root, &mut found)?;
    let is_cifar = |path: &PathBuf| path.parent() == Some(root) && name(path).starts_with(CIFAR_BATCHES) && name(path).ends_with(".bin");
    if found.iter().any(is_cifar) {
        found.retain(is_cifar);
    }
    found.sort();
    if found.is_empty() {
        return Err(Error::NotFound(format!("{}: the folder has no files", root.display())));
    }
    Ok(found)
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let io = |error: std::io::Error| Error::io(folder, &error);
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if name(&path).starts_with('.') {
            continue;
        }
        let metadata = std::fs::metadata(&path).map_err(|error| Error::io(&path, &error))?;
        if metadata.is_dir() { walk(&path, found)? } else { found.push(path) }
    }
    Ok(())
}
