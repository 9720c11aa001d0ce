//! Costs of the coefficients of a JPEG.

use crate::{
    jpeg::{Jpeg, Tables, ZIGZAG},
    stego::{Error, Limits, cost, juniward},
};

/// Blocks in a row of a JPEG's first component, and the cost of changing each of its coefficients: block after
/// block, each row by row.
///
/// # Errors
///
/// [`Error::NotAsJpeg`].
pub fn jpeg_costs(file: &[u8]) -> Result<(usize, Vec<f32>), Error> {
    let jpeg = Jpeg::read(file, Limits::default().memory_max);
    let jpeg = jpeg.map_err(|source| Error::NotAsJpeg { source })?;
    let plane = &jpeg.planes[0];
    let costs = juniward::costs(plane, super::threads());
    let mut all = Vec::with_capacity(costs.len() * ZIGZAG.len());
    for block in costs {
        let mut ordered = [0.0; 64];
        for (place, cost) in ZIGZAG.into_iter().zip(block) {
            ordered[usize::from(place)] = cost::value(cost);
        }
        all.extend(ordered);
    }
    Ok((plane.columns, all))
}

/// Whether a JPEG's coefficients, written as they were read, are read again as they were. `None` of a file
/// that is not read, or takes more memory than so many bytes.
pub fn rewrites(file: &[u8], memory_max: u64) -> Option<bool> {
    let jpeg = Jpeg::read(file, memory_max).ok()?;
    let again = jpeg.write(&jpeg.planes, Tables::AsBefore).ok();
    let same = again.is_some_and(|again| {
        Jpeg::read(&again, u64::MAX).is_ok_and(|again| {
            again.planes == jpeg.planes && jpeg.differs_only_in_coefficients(&again)
        })
    });
    Some(same)
}
