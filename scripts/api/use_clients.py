"""Uses the generated clients against a running gateway, as an integrator would.

    use_clients.py PUBLIC_URL OPS_URL ADMIN_TOKEN ROOM
"""

import sys

from booking_client import Client as BookingClient
from booking_client.api.default import cities
from booking_client.models import CityList
from line_client import Client as LineClient
from line_client.api.place import join
from line_client.api.room import room as room_document
from line_client.models import JoinRequest, RoomDocument, StatusDocument
from ops_client import AuthenticatedClient
from ops_client.api.rooms import room_stats, rooms
from ops_client.models import RoomList, RoomStats


def expect(value, kind):
    if not isinstance(value, kind):
        sys.exit(f"expected {kind.__name__}, got {value!r}")
    return value


def main(public_url, ops_url, token, room):
    line = LineClient(base_url=public_url)
    placed = expect(join.sync(room, client=line, body=JoinRequest()), StatusDocument)
    assert placed.room == room and placed.place, placed
    document = expect(room_document.sync(room, client=line), RoomDocument)
    assert document.room == room, document

    booking = BookingClient(base_url=public_url)
    found = expect(cities.sync(client=booking), CityList).cities
    assert found and found[0].show_count > 0, found

    operator = AuthenticatedClient(base_url=ops_url, token=token)
    known = expect(rooms.sync(client=operator), RoomList).rooms
    assert room in [one.room for one in known], known
    expect(room_stats.sync(room, client=operator), RoomStats)


main(*sys.argv[1:])
