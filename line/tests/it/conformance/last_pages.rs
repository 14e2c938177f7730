//! Where a session that was ended may still go.

use line::store::last_pages::{LOADS_MAX, LastPage};

use super::{Line, START, at};

pub(super) async fn the_last_page_is_taken_once_and_loads_only_then(line: Line) {
    let (store, room) = (&line.store, &line.room);
    let take = async |now, target| {
        store
            .last_page_take(room, now, "pass", target)
            .await
            .unwrap()
    };
    let load = async |now, page| store.last_page_load(room, now, "pass", page).await.unwrap();
    assert_eq!(take(START, "/thanks").await, LastPage::None);
    let put = store.last_page_put(room, START, "pass", at(60), "/thanks");
    put.await.unwrap();
    let other = store.last_page_take(room, START, "other", "/thanks");
    assert_eq!(other.await.unwrap(), LastPage::None);
    assert_eq!(load(at(1), None).await, LastPage::Refused);
    assert_eq!(take(at(1), "/thanks?more").await, LastPage::Refused);
    assert_eq!(take(at(1), "/thanks").await, LastPage::Granted);
    assert_eq!(take(at(1), "/thanks").await, LastPage::Refused);
    assert_eq!(load(at(2), Some("/other")).await, LastPage::Refused);
    assert_eq!(load(at(2), Some("/thanks")).await, LastPage::Granted);
    for _ in 1..LOADS_MAX {
        assert_eq!(load(at(2), None).await, LastPage::Granted);
    }
    assert_eq!(load(at(2), None).await, LastPage::Refused);
    assert_eq!(take(at(60), "/thanks").await, LastPage::None);
    assert_eq!(load(at(60), None).await, LastPage::None);
}

pub(super) async fn a_last_page_that_is_over_makes_room_for_others(line: Line) {
    let (store, room) = (&line.store, &line.room);
    for (pass, now) in [("one", 0), ("two", 1), ("one", 61)] {
        let put = store.last_page_put(room, at(now), pass, at(now + 60), "/thanks");
        put.await.unwrap();
    }
    // What was taken before is whole again with a new page.
    let taken = store.last_page_take(room, at(61), "one", "/thanks").await;
    assert_eq!(taken.unwrap(), LastPage::Granted);
    let over = store.last_page_take(room, at(61), "two", "/thanks").await;
    assert_eq!(over.unwrap(), LastPage::None);
}
