"""nftables without a kernel: as strict about elements and chains, and readable by ``dump()``."""

from netplug.nft.nft import NftExists, NftNotFound
from netplug.nft.objects import Change, Elements, Key, Table, render_replace


class FakeNft:
    def __init__(self) -> None:
        self.transactions = 0
        self.replaced = 0
        self._tables: dict[str, Table] = {}
        self._elements: dict[str, dict[str, dict[Key, Key]]] = {}

    def replace(self, table: Table, elements: Elements) -> None:
        self.transactions += 1
        self.replaced += 1
        content = {each.name: dict(elements.get(each.name, {})) for each in table.maps}
        self._check_verdicts(table, content)
        self._tables[table.name], self._elements[table.name] = table, content

    def change(self, change: Change) -> None:
        if not change:
            return
        self.transactions += 1
        name = change.table.name
        if name not in self._tables:
            raise NftNotFound(f"no table {name}")
        content = {each: dict(found) for each, found in self._elements[name].items()}
        for each, keys in change.remove.items():
            for key in keys:
                if content[each].pop(key, None) is None:
                    raise NftNotFound(f"no element {key} in {each}")
        for each, added in change.add.items():
            for key, value in added.items():
                if content[each].setdefault(key, value) != value:
                    raise NftExists(f"element {key} of {each} has another value")
        self._check_verdicts(self._tables[name], content)
        self._elements[name] = content

    def _check_verdicts(self, table: Table, content: Elements) -> None:
        chains = {chain.name for chain in table.chains}
        for each in content.values():
            for value in each.values():
                if value[:1] == ("goto",) and value[1] not in chains:
                    raise NftNotFound(f"no chain {value[1]}")

    def layout(self, table: Table) -> str:
        found = self._tables.get(table.name)
        return render_replace(found, {}) if found else ""

    def elements(self, table: Table) -> dict[str, dict[Key, Key]]:
        if table.name not in self._tables:
            raise NftNotFound(f"no table {table.name}")
        learned = {each.name for each in table.maps if each.learned}
        found = self._elements[table.name]
        return {name: dict(content) for name, content in found.items() if name not in learned}

    def learned(self, table: Table, name: str) -> dict[Key, Key]:
        return dict(self._elements[table.name][name])

    def learn(self, table: Table, name: str, content: dict[Key, Key]) -> None:
        """What packets would have done."""
        self._elements[table.name][name].update(content)

    def delete(self, name: str) -> None:
        self._tables.pop(name, None)
        self._elements.pop(name, None)

    def drops(self) -> list[str]:
        return []

    def dump(self) -> str:
        return "\n".join(
            render_replace(table, self._elements[name]) for name, table in self._tables.items()
        )
