//! What was there comes back as it was.

use crate::common::{assert_clean, seeds};
use crate::world::*;
use engine::backup::Moment;

#[test]
fn what_was_there_comes_back_as_it_was() {
    for seed in seeds(12) {
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..world.rng.below(4) {
            world.work(25);
            world.backup();
            if world.rng.chance(50) {
                world.restart();
            }
        }
        world.work(25);
        world.backup();
        let before: Vec<Facts> = world.ids.iter().map(|id| facts(&world.store, *id)).collect();
        assert_eq!(world.read_out(), world.model);
        // What comes after the backup is not in it.
        world.work(5);
        for (to, since) in [("/exact", false), ("/jumped", true)] {
            let restored = try_restore(&world.disk, &world.clock, to, Moment::Newest, since).unwrap();
            assert!(restored.unavailable.is_empty() && restored.damaged.is_empty());
            let store = open(&world.disk, &world.clock, to);
            assert_clean(&store);
            for (id, before) in world.ids.iter().zip(&before) {
                let after = facts(&store, *id);
                assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
                for (name, (uid_validity, uid_next, modseq, rows)) in before {
                    let now = &after[name];
                    assert_eq!((*uid_validity, rows), (now.0, &now.3), "seed {seed}: {name}");
                    if since {
                        assert!(now.1 >= uid_next + (1 << 20), "UIDs may have been given since");
                    } else {
                        assert_eq!((uid_next, modseq), (&now.1, &now.2));
                    }
                }
                store.authenticate(&store.account(*id).unwrap().name, "x").unwrap();
            }
            store.close().unwrap();
        }
    }
}
