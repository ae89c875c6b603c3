//! A SORT that is kept up to date (RFC 5267 section 4.3): where results leave its order and where they
//! join it.
//!
//! Laws
//! - Places are those at the moment a pair is applied, one pair after the other.
//! - A response holds a bounded number of results, however many changed at once.

use super::Sorter;
use super::order::{Order, Pair};
use crate::proto::write::esearch::{self, Correlator, Update};
use crate::session::sink::{Gone, Out};
use crate::session::stop::Stop;
use engine::search::SortKey;
use engine::types::UidSet;

/// Results in one response.
const PIECE: usize = 4096;

/// The order of the results that the client has.
pub struct KeptOrder {
    by: Vec<SortKey>,
    order: Order,
}

impl KeptOrder {
    pub fn new(by: Vec<SortKey>, order: Vec<u32>) -> Self {
        Self { by, order: Order::new(order) }
    }

    /// How many results it holds.
    pub fn len(&self) -> usize {
        self.order.uids().len()
    }

    pub fn remove(&mut self, gone: &UidSet) -> Vec<Pair> {
        self.order.remove(gone)
    }

    pub fn insert(&mut self, new: &UidSet, sorter: &Sorter<'_>) -> Result<Vec<Pair>, Stop> {
        let by = &self.by;
        self.order.insert(new, &mut |uids| sorter.sorted(uids, by))
    }
}

/// ADDTO or REMOVEFROM of these pairs; `number` is how the client names a message.
pub fn tell(
    change: Update,
    pairs: &[Pair],
    correlator: Correlator<'_>,
    uid: bool,
    number: &dyn Fn(u32) -> Option<u32>,
    out: &mut Out,
) -> Result<(), Gone> {
    let mut waiting: Vec<Pair> = Vec::new();
    let mut count = 0;
    for (place, run) in pairs {
        let mut place = *place;
        for piece in run.chunks(PIECE) {
            count += piece.len();
            waiting.push((place, piece.iter().filter_map(|&uid| number(uid)).collect()));
            if change == Update::AddTo {
                // The next piece goes behind this one; what is removed makes room for the next.
                place = place.saturating_add(u32::try_from(piece.len()).unwrap_or(u32::MAX));
            }
            if count >= PIECE {
                respond(change, &waiting, correlator, uid, out)?;
                waiting.clear();
                count = 0;
            }
        }
    }
    respond(change, &waiting, correlator, uid, out)
}

/// Nothing where there is nothing to tell.
fn respond(
    change: Update,
    pairs: &[Pair],
    correlator: Correlator<'_>,
    uid: bool,
    out: &mut Out,
) -> Result<(), Gone> {
    if pairs.is_empty() {
        return Ok(());
    }
    esearch::begin(out.buffer(), correlator, uid);
    esearch::update_at(out.buffer(), change, pairs.iter().map(|(place, run)| (*place, run.as_slice())));
    esearch::end(out.buffer());
    out.settle()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Kept;

    fn told(change: Update, pairs: &[Pair]) -> String {
        let mut kept = Kept::default();
        let mut out = Out::new(&mut kept);
        let correlator = Correlator { tag: "c", mailbox: None };
        tell(change, pairs, correlator, true, &Some, &mut out).unwrap();
        out.flush().unwrap();
        String::from_utf8(kept.bytes).unwrap()
    }

    #[test]
    fn pairs_stand_together_and_long_runs_are_cut() {
        let pairs = [(1, vec![2_731, 2_732, 2_733]), (9, vec![5, 4])];
        assert_eq!(told(Update::AddTo, &pairs), "* ESEARCH (TAG \"c\") UID ADDTO (1 2731:2733 9 5,4)\r\n");
        assert_eq!(told(Update::RemoveFrom, &[]), "");
        let long = [(3, (1..=5_000).collect()), (1, vec![7])];
        assert_eq!(
            told(Update::AddTo, &long),
            "* ESEARCH (TAG \"c\") UID ADDTO (3 1:4096)\r\n* ESEARCH (TAG \"c\") UID ADDTO (4099 4097:5000 1 7)\r\n"
        );
        assert_eq!(
            told(Update::RemoveFrom, &long),
            "* ESEARCH (TAG \"c\") UID REMOVEFROM (3 1:4096)\r\n* ESEARCH (TAG \"c\") UID REMOVEFROM (3 4097:5000 1 7)\r\n"
        );
    }
}
