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
        let paths: Vec<String> = paths.collect();
        if paths.is_empty() {
            return Ok(());
        }
        // A plan comes from somebody else, and may be old: only what is none of the store's now.
        let _still = self.store.keeper().hold();
        let strange = core.log.strange_files()?;
        for path in paths {
            self.step("moving files to the quarantine")?;
            if strange.contains(&path) {
                self.done.quarantined.extend(quarantine::take(&core, &core.log.dir().join(&path))?);
            }
            self.did();
        }
        Ok(())
    }
}
