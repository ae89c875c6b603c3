//! Files that are none of the store's.

use super::{Mend, Repair, quarantine};
use crate::error::Result;

impl Repair<'_, '_> {
    pub(super) fn files(&mut self) -> Result<()> {
        let core = self.store.core().clone();
        let paths = self.plan.mends().filter_map(|mend| match mend {
            Mend::File { path } => Some(path.clone()),
            _ => None,
        });
        for path in paths.collect::<Vec<_>>() {
            self.step("moving files to the quarantine")?;
            // A plan comes from somebody else: only what lies in a folder of the store.
            let is_inside = path.split('/').count() == 2 && !path.contains("..");
            if is_inside {
                self.done.quarantined.extend(quarantine::take(&core, &core.log.dir().join(&path))?);
            }
            self.did();
        }
        Ok(())
    }
}
