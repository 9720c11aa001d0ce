//! Bits in whether samples change alone, in a given order, with nothing in the directions: for headers,
//! which are short and have to be found before anything else is known.

use std::ops::Range;

use super::{
    super::{
        bound::Census,
        cost::Cost,
        layout::Stream,
        sample::Sample,
        stc::{Code, Height, Trellis, blocks},
    },
    COST_MAX, Prices, Refusal, pack, unpack,
};

/// The costs of some carriers, which are all that is left of them when the rest is not needed.
pub(crate) struct CostsOf {
    first: usize,
    costs: Vec<Cost>,
}

impl CostsOf {
    pub(crate) fn new(costs: &[Cost], carriers: Range<usize>) -> Self {
        Self {
            first: carriers.start,
            costs: costs[carriers].to_vec(),
        }
    }

    pub(crate) fn of(&self, carrier: u32) -> Cost {
        self.costs[carrier as usize - self.first]
    }
}

/// Puts bits into samples by whether they change alone, in the order given. For headers.
pub(crate) fn write_plainly<S: Sample>(
    samples: &mut [S],
    costs: &CostsOf,
    carriers: &[u32],
    bytes: &[u8],
    height: Height,
    random: &mut Stream,
) -> Result<(), Refusal> {
    let message = unpack(bytes);
    let mut census = Census::default();
    for carrier in carriers {
        census.add(costs.of(*carrier), samples[*carrier as usize].is_extreme());
    }
    let prices = Prices::new(&census, message.len(), false);
    let code = Code::new(height, carriers.len().div_ceil(message.len()));
    let mut bits: Vec<u8> = carriers
        .iter()
        .map(|c| samples[*c as usize].bit())
        .collect();
    let price = |carrier: &u32| prices.of(costs.of(*carrier), false).0;
    let mut prices: Vec<u8> = carriers.iter().map(price).collect();
    for block in blocks(message.len(), carriers.len()) {
        let cost = |i: &usize| costs.of(carriers[*i]);
        let cheapest = block.min_by_key(cost).ok_or(Refusal::Stuck)?;
        prices[cheapest] = prices[cheapest].min(COST_MAX as u8);
    }
    let mut changes = vec![0; bits.len()];
    if !code.write(
        &mut Trellis::default(),
        &prices,
        &mut bits,
        &message,
        &mut changes,
    ) {
        return Err(Refusal::Stuck);
    }
    for (carrier, change) in carriers.iter().zip(changes) {
        if change == 1 {
            let sample = &mut samples[*carrier as usize];
            *sample = sample.stepped(random.next_word() & 1 == 1);
        }
    }
    Ok(())
}

/// Reads what [`write_plainly`] wrote.
pub(crate) fn read_plainly<S: Sample>(
    samples: &[S],
    carriers: &[u32],
    bytes: &mut [u8],
    height: Height,
) {
    let mut read = vec![0; bytes.len() * 8];
    let bits: Vec<u8> = carriers
        .iter()
        .map(|c| samples[*c as usize].bit())
        .collect();
    Code::new(height, carriers.len().div_ceil(read.len())).read(&bits, |bit| bit, &mut read);
    bytes.copy_from_slice(&pack(&read));
}
