//! What does not fit is refused by naming what is used up, and fits again once there is room.

use std::time::{Duration, Instant};

use pointsman_ebpf::plan::Structure;
use pointsman_ebpf::tables::tuples::MAX_MASKS;
use pointsman_p4::dataplane::{Bits, DataPlaneError, Match};
use pointsman_p4::ir::MatchKind;

use crate::bed::Bed;
use crate::support::privileged;

fn ternary(value: u64, mask: u64) -> [Match; 1] {
    [Match::Ternary {
        value: Bits::from(value & mask),
        mask: Bits::from(mask),
    }]
}

#[test]
fn a_tuple_space_names_its_masks_when_there_are_too_many() {
    if !privileged() {
        return;
    }
    let (mut bed, probe) = Bed::new(&[(MatchKind::Ternary, 32)], 10_000);
    let masks = u64::from(MAX_MASKS);
    for mask in 1..=masks {
        bed.insert(&ternary(mask, mask), mask as i32, mask as u32)
            .unwrap();
    }
    let one_more = masks + 1;
    let refused = bed.insert(&ternary(one_more, one_more), 1, 1).unwrap_err();
    assert!(
        matches!(&refused, DataPlaneError::Full { what, capacity }
            if what.contains("masks") && *capacity == masks),
        "{refused}"
    );
    bed.delete(&ternary(1, 1), 1).unwrap();
    bed.insert(&ternary(one_more, one_more), 2000, 7).unwrap();
    assert_eq!(probe.answer(&[Bits::from(u64::from(u32::MAX))]), 7);
    assert_eq!(probe.answer(&[Bits::from(2)]), 2);
}

#[test]
fn a_table_in_code_takes_its_declared_entries_and_no_others() {
    if !privileged() {
        return;
    }
    let declared = [
        (ternary(0x0a00_0000, 0xff00_0000).to_vec(), 2),
        (ternary(0x0b00_0000, 0xff00_0000).to_vec(), 1),
    ];
    let (mut bed, probe) = Bed::with_declared(&[(MatchKind::Ternary, 32)], 2, &declared);
    assert!(matches!(bed.structure, Structure::Declared(_)));
    let (matches, priority) = &declared[0];
    bed.insert(matches, *priority, 7).unwrap();
    assert_eq!(probe.answer(&[Bits::from(0x0a01_0203)]), 7);
    assert!(matches!(
        bed.insert(&ternary(0x0c00_0000, 0xff00_0000), 1, 1),
        Err(DataPlaneError::Full { .. })
    ));
    bed.delete(matches, *priority).unwrap();
    assert_eq!(probe.answer(&[Bits::from(0x0a01_0203)]), 0);
    bed.insert(matches, *priority, 8).unwrap();
    assert_eq!(probe.answer(&[Bits::from(0x0a01_0203)]), 8);
}

#[test]
fn bit_vectors_take_as_many_entries_as_they_are_declared_for_in_any_order() {
    if !privileged() {
        return;
    }
    const ENTRIES: u64 = 4096;
    // Odd, so that no priority comes twice.
    for step in [1, ENTRIES - 1, 2583] {
        let (mut bed, probe) = Bed::new(&[(MatchKind::Ternary, 32)], ENTRIES as u32);
        let start = Instant::now();
        for n in 0..ENTRIES {
            let priority = 1 + n * step % ENTRIES;
            bed.insert(&ternary(n, 0xffff_ffff), priority as i32, n as u32 + 1)
                .unwrap();
        }
        let elapsed = start.elapsed();
        println!("{ENTRIES} entries, priorities in steps of {step}: {elapsed:?}");
        assert!(elapsed < Duration::from_secs(10), "in {elapsed:?}");
        for n in (0..ENTRIES).step_by(97) {
            assert_eq!(probe.answer(&[Bits::from(n)]), n as u32 + 1);
        }
        assert!(matches!(
            bed.insert(&ternary(1, 1), 1, 1),
            Err(DataPlaneError::Full { .. })
        ));
    }
}
