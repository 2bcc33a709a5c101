//! The service killed under load, over and over.

use sqlx::PgPool;

use super::ALONE;
use crate::durability::survive;

const ROUNDS: u64 = 25;

#[sqlx::test]
#[ignore = "wants the machine for itself: `make endurance`"]
async fn nothing_that_was_told_is_missing_after_twenty_five_kills(pool: PgPool) {
    let _alone = ALONE.lock().await;
    let told = survive(&pool, ROUNDS).await;
    println!("{ROUNDS} kills under load: {told} answers, each of them found afterwards");
}
