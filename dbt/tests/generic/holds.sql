{# A condition over the columns of a row is true, or empty, for every row. #}
{% test holds(model, condition, column_name=none) %}

select *
from {{ model }}
where not ({{ condition }})

{% endtest %}
