{# Values are no less than `low` and no more than `high`, as far as those are given; empty ones pass. #}
{% test between(model, column_name, low=none, high=none) %}

select {{ column_name }}
from {{ model }}
where false
    {% if low is not none %} or {{ column_name }} < {{ low }} {% endif %}
    {% if high is not none %} or {{ column_name }} > {{ high }} {% endif %}

{% endtest %}
