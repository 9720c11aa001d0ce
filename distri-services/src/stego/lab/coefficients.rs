//! Costs of the coefficients of a JPEG.

use crate::{
    jpeg::{Jpeg, ZIGZAG},
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
