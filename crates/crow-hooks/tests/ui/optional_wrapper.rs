use crow_hooks::{hookimpls, hookspecs, Next, Outcome};

#[hookspecs(project = "shop")]
pub trait Shop {
    async fn before_order(customer: &str, order: &mut Vec<String>);
    #[hookspec(firstresult)]
    async fn shipping(order: &[String]) -> u32;
    fn label(order: &[String]) -> String;
}

struct Plugin;

#[hookimpls]
impl Shop for Plugin {
    #[hookimpl(wrapper, optionalhook)]
    async fn shipping(&self, mut next: Next<'_, Shipping>) -> Outcome<Shipping> {
        next.run().await
    }
}

fn main() {}
