use super::*;
use proptest::prelude::*;
use redb::backends::InMemoryBackend;

#[derive(Clone, Debug)]
enum Step {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Read(u64, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..5 * PAGE;
    prop_oneof![
        (at.clone(), proptest::collection::vec(any::<u8>(), 1..6_000)).prop_map(|(at, b)| Step::Write(at, b)),
        at.clone().prop_map(Step::SetLen),
        (at, 1..10_000_usize).prop_map(|(at, len)| Step::Read(at, len)),
    ]
}

fn file_of(bytes: &[u8]) -> InMemoryBackend {
    let file = InMemoryBackend::new();
    file.set_len(bytes.len() as u64).unwrap();
    StorageBackend::write(&file, 0, bytes).unwrap();
    file
}

fn bytes_of(file: &dyn StorageBackend) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read(0, &mut bytes).unwrap();
    bytes
}

proptest! {
    #[test]
    fn it_reads_as_a_file_does_and_changes_nothing_before_its_release(
        len in 1..5 * PAGE_LEN, steps in proptest::collection::vec(step(), 0..20),
    ) {
        let before: Vec<u8> = (0..len).map(|n| u8::try_from(n % 251).unwrap() + 1).collect();
        let staged = Staged::new(Box::new(file_of(&before)));
        let plain = file_of(&before);
        for step in &steps {
            match step {
                Step::SetLen(len) => {
                    staged.set_len(*len).unwrap();
                    plain.set_len(*len).unwrap();
                }
                Step::Write(at, bytes) => {
                    if at + bytes.len() as u64 <= plain.len().unwrap() {
                        StorageBackend::write(&staged, *at, bytes).unwrap();
                        StorageBackend::write(&plain, *at, bytes).unwrap();
                    }
                }
                Step::Read(at, len) => {
                    let (mut ours, mut theirs) = (vec![0; *len], vec![0; *len]);
                    let ours_is_ok = staged.read(*at, &mut ours).is_ok();
                    prop_assert_eq!(ours_is_ok, StorageBackend::read(&plain, *at, &mut theirs).is_ok());
                    prop_assert!(!ours_is_ok || ours == theirs);
                }
            }
            prop_assert_eq!(StorageBackend::len(&staged).unwrap(), plain.len().unwrap());
        }
        prop_assert_eq!(bytes_of(&*staged.0.file), before);
        staged.release().unwrap();
        prop_assert_eq!(bytes_of(&*staged.0.file), bytes_of(&plain));
    }
}

#[test]
fn after_the_release_changes_go_to_the_file() {
    let staged = Staged::new(Box::new(file_of(&[1, 2, 3])));
    staged.release().unwrap();
    StorageBackend::write(&staged, 1, &[9]).unwrap();
    assert_eq!(bytes_of(&*staged.0.file), [1, 9, 3]);
}

#[test]
fn a_file_whose_creation_was_cut_short_counts_as_empty() {
    let mut blank = vec![0; 100_000];
    blank[9..300].fill(7);
    assert_eq!(StorageBackend::len(&Staged::new(Box::new(file_of(&blank)))).unwrap(), 0);
    for (at, why) in
        [(0, "a magic number"), (600, "something in the first page"), (99_999, "something at the end")]
    {
        let mut bytes = blank.clone();
        bytes[at] = 1;
        assert_eq!(StorageBackend::len(&Staged::new(Box::new(file_of(&bytes)))).unwrap(), 100_000, "{why}");
    }
    assert_eq!(StorageBackend::len(&Staged::new(Box::new(file_of(&[0; 20])))).unwrap(), 20);
}
