"""The parts of a story that `show` tells, by their titles."""

from metareward.show import Story


def titled(story: Story, *beginnings: str) -> list[Story]:
    return [child for child in story.children if child.title.startswith(beginnings)]


def the(story: Story, beginning: str) -> Story:
    (child,) = titled(story, beginning)
    return child
