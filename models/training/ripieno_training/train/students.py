"""Names of students: `TEACHER_distilled_STEPS`, and `TEACHER_sharpened_STEPS` of those that learned against judges."""

from typing import NamedTuple

DISTILLED, SHARPENED = "distilled", "sharpened"
"""what a student is called that was made without judges, and against them"""


class Student(NamedTuple):
    """Whose, how made, and for how many steps."""

    teacher: str
    way: str
    steps: int

    @property
    def name(self) -> str:
        """Of its checkpoint: students of different teachers share a folder."""
        return f"{self.teacher}_{self.way}_{self.steps}"

    @classmethod
    def of(cls, name: str) -> "Student | None":
        """The student that a checkpoint's name says, if it is one's."""
        for way in (DISTILLED, SHARPENED):
            teacher, found, steps = name.rpartition(f"_{way}_")
            if found:
                return cls(teacher, way, int(steps))
        return None


def students(teacher: str) -> list[Student]:
    """All that there may be of a teacher."""
    return [Student(teacher, way, steps) for way in (DISTILLED, SHARPENED) for steps in (8, 4, 2, 1)]
