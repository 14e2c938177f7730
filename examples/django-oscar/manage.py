"""Django's command, with a further one: `stock` puts something on the shelves."""

import os
import sys
from decimal import Decimal

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")


def stock():
    """Two kinds of tickets."""
    import django

    django.setup()
    from oscar.core.loading import get_class, get_model

    create_from_breadcrumbs = get_class("catalogue.categories", "create_from_breadcrumbs")
    kind, _ = get_model("catalogue", "ProductClass").objects.get_or_create(name="Ticket", defaults={"requires_shipping": False})
    partner, _ = get_model("partner", "Partner").objects.get_or_create(name="Festival")
    category = create_from_breadcrumbs("Tickets")
    for name, price in (("Friday", "49.00"), ("Weekend", "120.00")):
        product, is_new = get_model("catalogue", "Product").objects.get_or_create(title=name, product_class=kind)
        if is_new:
            product.categories.add(category)
            product.stockrecords.create(
                partner=partner, partner_sku=name, price=Decimal(price), price_currency="EUR", num_in_stock=100
            )


if __name__ == "__main__":
    if sys.argv[1:] == ["stock"]:
        stock()
    else:
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
