//! Batches: samples read by all threads, put together in their order.
use super::{Dataset, Read};
use rsquant::error::Result;
use rsquant::tensor::TensorView;
use rsquant::threads::parallel_map;
use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;

/// Neighbouring samples of the same shapes.
pub struct Batch {
    /// How many (of a whole file: the length of its first axis).
    pub samples: usize,
    /// Of each input, with the batch axis.
    pub dims: Vec<Vec<usize>>,
    floats: Vec<Vec<f32>>,
    /// One a sample, where all have one.
    pub labels: Option<Vec<u32>>,
    /// The file of its first sample.
    pub file: PathBuf,
}

impl Batch {
    /// The inputs, for the library.
    ///
    /// # Errors
    /// `ShapeMismatch` for shapes too large to count.
    pub fn views(&self) -> Result<Vec<TensorView<'_>>> {
        self.floats.iter().zip(&self.dims).map(|(floats, dims)| TensorView::f32(floats, dims)).collect()
    }
}

/// Samples `range` of an entry, whose first is sample `first` of the data set.
struct Piece {
    entry: usize,
    range: Range<usize>,
    first: u64,
}

/// Batches of a data set, in order.
pub struct Batches<'a> {
    data: &'a Dataset,
    next: u64,
    end: u64,
    ready: VecDeque<Batch>,
    failed: bool,
}

impl Dataset {
    /// The batches behind the first `seen` of the samples taken.
    pub fn batches(&self, seen: u64) -> Batches<'_> {
        let taken = self.taken();
        Batches { data: self, next: taken.start.saturating_add(seen), end: taken.end, ready: VecDeque::new(), failed: false }
    }

    /// The first `most` samples (all, if there are fewer) as one batch.
    ///
    /// # Errors
    /// As reading; `ShapeMismatch` where they do not have one shape.
    pub fn first(&self, most: u64) -> Result<Batch> {
        let taken = self.taken();
        let end = taken.end.min(taken.start.saturating_add(most));
        let mut batches = self.gather(taken.start..end)?;
        match batches.len() {
            1 => batches.pop_front().ok_or_else(|| rsquant::error::Error::NotFound("no samples".into())),
            _ => Err(rsquant::error::Error::ShapeMismatch("the samples have several shapes".into()).in_file(&self.root)),
        }
    }

    /// The pieces of files that hold the samples `range`.
    fn pieces(&self, range: Range<u64>) -> Vec<Piece> {
        let (mut pieces, mut start) = (Vec::new(), 0u64);
        for (entry, file) in self.entries.iter().enumerate() {
            let samples = start..start + file.samples as u64;
            let (first, end) = (range.start.max(samples.start), range.end.min(samples.end));
            if first < end {
                let within = (first - start) as usize..(end - start) as usize;
                pieces.push(Piece { entry, range: within, first });
            }
            start = samples.end;
        }
        pieces
    }

    /// Reads samples; a batch ends where the next sample has other shapes.
    fn gather(&self, range: Range<u64>) -> Result<VecDeque<Batch>> {
        let pieces = self.pieces(range);
        let read = |piece: &Piece| -> Result<Vec<Read>> {
            let parts = self.entries[piece.entry].parts.iter().zip(&self.inputs);
            parts.map(|(part, input)| self.read(part, input, piece.range.clone())).collect()
        };
        let all = parallel_map(pieces.iter().collect::<Vec<_>>(), |piece| read(piece));
        let mut batches: VecDeque<Batch> = VecDeque::new();
        for (piece, inputs) in pieces.iter().zip(all) {
            let inputs = inputs?;
            let file = &self.entries[piece.entry].parts[0].path;
            let labels = match &self.labels {
                Some(labels) => Some(labels[piece.first as usize..][..piece.range.len()].to_vec()),
                None => inputs.first().and_then(|input| input.labels.clone()),
            };
            let count = piece.range.len();
            match batches.back_mut().filter(|batch| batch.dims.iter().zip(&inputs).all(|(dims, input)| dims[1..] == input.dims)) {
                Some(batch) => batch.append(count, inputs, labels),
                None => batches.push_back(Batch {
                    samples: count,
                    dims: inputs.iter().map(|input| [&[count], input.dims.as_slice()].concat()).collect(),
                    floats: inputs.into_iter().map(|input| input.floats).collect(),
                    labels,
                    file: file.clone(),
                }),
            }
        }
        Ok(batches)
    }
}

impl Batch {
    fn append(&mut self, count: usize, inputs: Vec<Read>, labels: Option<Vec<u32>>) {
        self.samples += count;
        for ((floats, dims), input) in self.floats.iter_mut().zip(&mut self.dims).zip(inputs) {
            floats.extend(input.floats);
            dims[0] += count;
        }
        self.labels = match (self.labels.take(), labels) {
            (Some(mine), Some(more)) => Some([mine, more].concat()),
            _ => None,
        };
    }
}

impl Batches<'_> {
    /// Where the next batch ends: after a whole number of batches, or with its file.
    fn end_of_next(&self) -> u64 {
        let end = if self.data.arguments.whole_files {
            self.data.pieces(self.next..self.end).first().map_or(self.end, |piece| piece.first + piece.range.len() as u64)
        } else {
            self.next.saturating_add(self.data.batch() as u64)
        };
        end.min(self.end)
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(batch) = self.ready.pop_front() {
            return Some(Ok(batch));
        }
        if self.failed || self.next >= self.end {
            return None;
        }
        let end = self.end_of_next();
        match self.data.gather(self.next..end) {
            Ok(batches) => {
                (self.ready, self.next) = (batches, end);
                self.ready.pop_front().map(Ok)
            }
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}
