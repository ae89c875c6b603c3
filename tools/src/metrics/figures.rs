//! What is told of a running server.
//!
//! Law: no label holds anything of a user or a message.

use super::exposition::Exposition;
use engine::metrics::{ConnectionCounts, Durations};
use engine::ops::Stats;

/// One moment of a server.
pub struct Figures<'a> {
    pub stats: &'a Stats,
    pub commits: &'a Durations,
    /// By the name of the protocol.
    pub connections: &'a [(&'static str, ConnectionCounts)],
    pub started_ms: u64,
}

impl Figures<'_> {
    #[must_use]
    pub fn text(&self) -> String {
        let mut told = Exposition::default();
        self.process(&mut told);
        self.mail(&mut told);
        self.log(&mut told);
        self.disk(&mut told);
        self.health(&mut told);
        self.scrub(&mut told);
        self.index(&mut told);
        told.into_text()
    }

    fn process(&self, told: &mut Exposition) {
        let version = [(env!("CARGO_PKG_VERSION"), 1)];
        told.by("mailcask_build_info", "gauge", "The version that runs.", "version", &version);
        let help = "When the server was started.";
        told.gauge("mailcask_start_timestamp_seconds", help, seconds(self.started_ms));
        let each = |of: fn(&ConnectionCounts) -> u64| -> Vec<(&str, u64)> {
            self.connections.iter().map(|(name, counts)| (*name, of(counts))).collect()
        };
        let mut by = |name, kind, help, of| told.by(name, kind, help, "protocol", &each(of));
        by("mailcask_connections", "gauge", "Connections now.", |counts| counts.open);
        let help = "Connections taken.";
        by("mailcask_connections_accepted_total", "counter", help, |counts| counts.accepted);
        let help = "Connections turned away because there were too many.";
        by("mailcask_connections_refused_total", "counter", help, |counts| counts.refused);
    }

    fn mail(&self, told: &mut Exposition) {
        let (stats, counts) = (self.stats, &self.stats.counts);
        told.gauge("mailcask_accounts", "Accounts.", stats.accounts);
        told.gauge("mailcask_mailboxes", "Mailboxes of all accounts.", stats.mailboxes);
        told.gauge("mailcask_messages", "Messages, each counted once a mailbox.", stats.messages);
        let help = "Octets of all messages, each counted once a mailbox.";
        told.gauge("mailcask_message_bytes", help, stats.message_bytes);
        told.counter("mailcask_deliveries_total", "Deliveries, one a recipient.", counts.deliveries);
        let help = "Deliveries answered without a second copy: a retry.";
        told.counter("mailcask_deliveries_duplicate_total", help, counts.duplicate_deliveries);
        let help = "Deliveries remembered so that a retry makes no second copy.";
        told.gauge("mailcask_deliveries_remembered", help, stats.remembered_deliveries);
        let help = "Transactions that expunged messages, or deleted a mailbox or an account.";
        told.counter("mailcask_removals_total", help, counts.removals);
    }

    fn log(&self, told: &mut Exposition) {
        let (stats, counts) = (self.stats, &self.stats.counts);
        told.gauge("mailcask_log_lsn", "The number of the group published last.", stats.lsn.0);
        told.counter("mailcask_log_groups_total", "Groups made durable.", counts.groups);
        let help = "Groups that could not be made durable: a full disk, or a failure of it.";
        told.counter("mailcask_log_groups_failed_total", help, counts.groups_failed);
        told.counter("mailcask_log_written_bytes_total", "Bytes of the groups written.", counts.log_bytes);
        let help = "Time to write a group and to sync it.";
        told.histogram("mailcask_log_commit_seconds", help, self.commits);
        told.counter("mailcask_checkpoints_total", "Checkpoints of the catalog.", counts.checkpoints);
        told.counter("mailcask_snapshots_total", "Snapshots.", counts.snapshots);
        let help = "Segments that compaction dropped.";
        told.counter("mailcask_segments_compacted_total", help, counts.segments_compacted);
    }

    fn disk(&self, told: &mut Exposition) {
        let (stats, disk) = (self.stats, &self.stats.disk);
        let text = stats.index.figures.segment_bytes + stats.index.figures.tail_bytes;
        let kinds = [
            ("log", disk.log),
            ("bodies", disk.bodies),
            ("cold", disk.cold),
            ("snapshots", disk.snapshots),
            ("quarantine", disk.quarantine),
            ("catalog", stats.catalog_bytes),
            ("text", text),
        ];
        told.by("mailcask_disk_bytes", "gauge", "Bytes of the store's files.", "kind", &kinds);
        told.gauge("mailcask_segments", "Segments of log, bodies and cold mail.", stats.segments);
        let help = "Segments held back for a full disk.";
        told.gauge("mailcask_reserve_segments", help, stats.reserve_segments);
        let help = "Segments that should be held back; with fewer no new mail is taken.";
        told.gauge("mailcask_reserve_segments_wanted", help, stats.reserve_segments_wanted);
    }

    fn health(&self, told: &mut Exposition) {
        let stats = self.stats;
        told.flag("mailcask_full", "The disk is full: no new mail is taken.", stats.full);
        let help = "A sync failed: nothing is written until the server is restarted.";
        told.flag("mailcask_poisoned", help, stats.poisoned);
        let help = "Entries in the list of damage that is known and not repaired.";
        told.gauge("mailcask_damage", help, stats.damage);
        let help = "Accounts that take no changes because of damage.";
        told.gauge("mailcask_read_only_accounts", help, stats.read_only_accounts);
    }

    fn scrub(&self, told: &mut Exposition) {
        let (scrub, counts) = (&self.stats.scrub, &self.stats.counts);
        told.flag("mailcask_scrub_running", "A pass over everything is under way.", scrub.running);
        let help = "Passes finished since the store was made.";
        told.counter("mailcask_scrub_passes_total", help, scrub.passes);
        let help = "How far the pass is, or the last one was.";
        told.gauge("mailcask_scrub_position_bytes", help, scrub.position_bytes);
        told.gauge("mailcask_scrub_pass_bytes", "What that pass has to read.", scrub.total_bytes);
        told.counter("mailcask_scrub_read_bytes_total", "Bytes read.", counts.scrub_bytes);
        told.counter("mailcask_scrub_findings_total", "What was found damaged.", counts.scrub_findings);
        let help = "What the last finished pass found damaged.";
        told.gauge("mailcask_scrub_last_findings", help, scrub.last_findings);
        let help = "When the last pass was finished; 0: none was.";
        told.gauge("mailcask_scrub_last_finished_timestamp_seconds", help, seconds(scrub.last_finished_ms));
    }

    fn index(&self, told: &mut Exposition) {
        let (index, counts) = (&self.stats.index, &self.stats.counts);
        let help = "Messages that are not indexed yet: searches read them.";
        told.gauge("mailcask_index_backlog_messages", help, index.backlog);
        let help = "How long the account that waits longest has waited.";
        told.gauge("mailcask_index_lag_seconds", help, seconds(index.oldest_lag_ms));
        told.gauge("mailcask_index_messages", "Messages in the text index.", index.figures.messages);
        told.gauge("mailcask_index_segments", "Segments of the text index.", index.figures.segments);
        let help = "Messages whose text could not be read.";
        told.gauge("mailcask_index_unreadable_messages", help, index.figures.unreadable);
        told.counter("mailcask_index_indexed_messages_total", "Messages indexed.", counts.messages_indexed);
        told.counter("mailcask_index_segments_built_total", "Segments built.", counts.text_segments_built);
        let help = "Segments merged into others.";
        told.counter("mailcask_index_segments_merged_total", help, counts.text_segments_merged);
        let help = "Bytes of segments written.";
        told.counter("mailcask_index_written_bytes_total", help, counts.text_bytes_written);
    }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use engine::ops::{AppendItem, NewAccount, Store, StoreOptions};

    /// The value of a sample without labels.
    fn value(store: &Store, name: &str) -> f64 {
        let (stats, commits) = (store.stats().unwrap(), store.commits());
        let figures = Figures { stats: &stats, commits: &commits, connections: &[], started_ms: 0 };
        let text = figures.text();
        let sample = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        sample.unwrap_or_else(|| panic!("{name}: {text}")).parse().unwrap()
    }

    #[test]
    fn what_the_scrub_finds_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::for_tests();
        let large_bytes = options.log.body_threshold_bytes as usize * 2;
        let store = Store::open(dir.path(), options).unwrap();
        let id = store.create_account(&NewAccount { name: "a", ..NewAccount::default() }).unwrap();
        let inbox = store.account(id).unwrap().mailbox_named("INBOX").unwrap().header.id;
        let mut stager = store.stager();
        stager.write(b"Subject: x\r\n\r\n").unwrap();
        stager.write(&b"0123456789abcdef".repeat(large_bytes / 16)).unwrap();
        let message = stager.finish().unwrap();
        store.append(id, inbox, vec![AppendItem { message, flags: vec![], internal_date: None }]).unwrap();
        store.scrub().unwrap();
        assert_eq!(value(&store, "mailcask_scrub_findings_total"), 0.0);
        assert_eq!(value(&store, "mailcask_damage"), 0.0);
        assert!(value(&store, "mailcask_log_commit_seconds_count") >= 2.0);
        let body = std::fs::read_dir(dir.path().join("bodies")).unwrap().next().unwrap().unwrap().path();
        let mut bytes = std::fs::read(&body).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&body, bytes).unwrap();
        store.scrub().unwrap();
        assert!(value(&store, "mailcask_scrub_findings_total") > 0.0);
        assert!(value(&store, "mailcask_scrub_last_findings") > 0.0);
        assert_eq!(value(&store, "mailcask_scrub_passes_total"), 2.0);
        assert!(value(&store, "mailcask_damage") > 0.0);
        store.close().unwrap();
    }
}
