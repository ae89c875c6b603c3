//! The files beside the segments: snapshot runs, what the opening mended, and what does not belong there.

use super::{Check, Kind};
use crate::error::Result;
use crate::log::run::RunReader;
use crate::work::Unit;

impl Check<'_, '_> {
    pub(super) fn files(&mut self) -> Result<()> {
        let recovery = self.store.recovery();
        for what in &recovery.mended {
            self.report.add(Kind::Mended, "store", what);
        }
        if let Some(why) = &recovery.manifest_rebuilt {
            self.report.add(Kind::Mended, "MANIFEST", &format!("it was made again from the segments: {why}"));
        }
        for (name, what) in self.store.core().log.verify_listing() {
            self.report.add(Kind::Listing, &name, &what);
            self.evidence.listing.push((name, what));
        }
        self.runs()?;
        self.unknown_files()
    }

    /// The snapshot runs of both sets; deep, every byte of them.
    fn runs(&mut self) -> Result<()> {
        let log = &self.store.core().log;
        let (current, previous) = log.manifest_runs();
        let mut runs: Vec<_> = current.runs.into_iter().chain(previous.runs).collect();
        runs.sort_by(|a, b| a.file.cmp(&b.file));
        runs.dedup_by(|a, b| a.file == b.file);
        let total = runs.iter().map(|run| run.bytes).sum();
        let mut done = 0;
        for run in runs {
            self.work.step("reading snapshots", done, total, Unit::Bytes)?;
            done += run.bytes;
            let path = log.dir().join("snapshots").join(&run.file);
            let deep = self.deep;
            let read = RunReader::open(log.disk(), &path)
                .and_then(|reader| if deep { reader.verify() } else { Ok(()) });
            let Err(error) = read else { continue };
            let (current, previous) = log.manifest_runs();
            let counts = current.runs.iter().chain(&previous.runs).any(|counted| counted.file == run.file);
            // What was merged away while it was looked at is no finding.
            if counts {
                self.report.add(Kind::Snapshot, &format!("snapshots/{}", run.file), &error.to_string());
                self.evidence.runs.insert(run.file, error.to_string());
            }
        }
        Ok(())
    }

    fn unknown_files(&mut self) -> Result<()> {
        // A snapshot that is being written counts only once it is whole.
        let _still = self.store.keeper().hold();
        for object in self.store.core().log.strange_files()? {
            self.report.add(Kind::UnknownFile, &object, "it is no file of this store");
            self.evidence.unknown_files.push(object);
        }
        Ok(())
    }
}
